"""Makes the page of the public names from their signatures and docstrings. It is part of the site alone."""

import ast
import inspect
import re
import textwrap
from collections.abc import Iterator
from typing import Any

import runbundle

PUBLIC = runbundle.__all__
_ADDRESS = re.compile(r"<[^<>]* at 0x[0-9a-f]+>")


def page() -> str:
    """Return the page: every public name, classes with their fields, properties and methods."""
    parts = [
        "# Public names",
        "",
        "All are in `runbundle`. [Settings](settings.md) has each argument of `configure()` in a table.",
        "",
    ]
    for name in PUBLIC:
        value = getattr(runbundle, name)
        parts += [f"## {name}", "", f"```text\n{name}{_signature(value)}\n```", "", _text(value), ""]
        if inspect.isclass(value):
            parts += [f"- `{field}`: {about}" for field, about in _fields(value)]
            parts.append("")
            for method, member in _methods(value):
                parts += [
                    f"### {name}.{method}",
                    "",
                    f"```text\n{method}{_signature(member)}\n```",
                    "",
                    _text(member),
                    "",
                ]
    return "\n".join(parts)


def _signature(value: Any) -> str:
    if isinstance(value, property):
        return ""
    if inspect.isclass(value) and issubclass(value, BaseException):
        return f"({value.__bases__[0].__name__})"
    try:
        signature = inspect.signature(value)
    except (TypeError, ValueError):
        return ""
    parameters = [
        parameter.replace(annotation=inspect.Parameter.empty)
        for name, parameter in signature.parameters.items()
        if name != "self"
    ]
    shown = _ADDRESS.sub(
        "...", str(signature.replace(parameters=parameters, return_annotation=inspect.Signature.empty))
    )
    return "\n".join(textwrap.wrap(shown, 100, subsequent_indent="    ", break_long_words=False))


def _text(value: Any) -> str:
    return inspect.getdoc(value) or ""


def _fields(kind: type) -> Iterator[tuple[str, str]]:
    """Yield the fields of a class that have a text beneath them, and its properties."""
    try:
        tree = ast.parse(textwrap.dedent(inspect.getsource(kind))).body[0]
    except (OSError, TypeError):
        return
    assert isinstance(tree, ast.ClassDef)
    for field, text in zip(tree.body, tree.body[1:], strict=False):
        said = isinstance(text, ast.Expr) and isinstance(text.value, ast.Constant) and isinstance(text.value.value, str)
        if isinstance(field, ast.AnnAssign) and isinstance(field.target, ast.Name) and said:
            yield field.target.id, " ".join(text.value.value.split())
    for name, member in _members(kind):
        if isinstance(member, property) and not name.startswith("_"):
            yield name, " ".join(_text(member).split())


def _methods(kind: type) -> Iterator[tuple[str, Any]]:
    if not issubclass(kind, BaseException):
        for name, member in _members(kind):
            if not name.startswith("_") and inspect.isfunction(member) and member.__doc__:
                yield name, member


def _members(kind: type) -> Iterator[tuple[str, Any]]:
    """Yield the members of a class, and those that it has from another class of ours."""
    for each in kind.__mro__:
        if each.__module__.startswith("runbundle."):
            yield from vars(each).items()
