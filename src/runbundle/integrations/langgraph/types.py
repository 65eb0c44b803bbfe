"""Which types of a graph's state can be restored, and how a value of each is made again.

A stored value names its type, and whoever can write to the store chooses that name. So nothing is imported for it,
except types that LangGraph considers safe and those in `types=`. Any other type is restored only if it is plain data (a
pydantic model, data class, enumeration or named tuple) that the application has loaded itself. Its fields are filled
without calling the constructor, as a copy does; only a model whose fields have changed since is validated, as LangGraph
does. A value of any other type stays the plain value that was written for it.
"""

import dataclasses
import importlib
import sys
from collections.abc import Callable, Iterable, Mapping
from enum import Enum
from typing import Any, cast

from langgraph.checkpoint.serde._msgpack import SAFE_MSGPACK_TYPES

# Numbers of msgpack extensions; databases hold them. Those up to 7 are LangGraph's, so that its checkpoints stay
# readable. Ours are for secrets, and for types that LangGraph would read back as another type.
ONE, POSITIONS, NAMES, METHOD, PYDANTIC_V1, PYDANTIC_V2, ARRAY, DELTA = range(8)
SECRET, TUPLE, TEXT, NUMBER, MAPPING, MODEL, SCALAR, FIELDS = range(100, 108)

SECRETS = frozenset(
    (module, name)
    for module in ("pydantic.types", "pydantic.v1.types")
    for name in ("SecretStr", "SecretBytes", "Secret")
)
_SAFE: frozenset[tuple[str, ...]] = SAFE_MSGPACK_TYPES | SECRETS | {("builtins", "complex")}
_PATHS = {"PurePath", "PurePosixPath", "PureWindowsPath"}

Named = tuple[str, str]


class NotRestorable(LookupError):
    """Raised for a stored value of a type that is not restored."""


def type_names(types: Iterable[Any]) -> frozenset[Named]:
    """Return types, given as classes or as pairs of module and name, as a set of such pairs."""
    return frozenset(
        (kind.__module__, kind.__qualname__) if isinstance(kind, type) else (str(kind[0]), str(kind[1]))
        for kind in types
    )


def is_model(kind: Any) -> bool:
    """Tell whether a class is a pydantic model, of version 1 or 2. Does not import pydantic."""
    bases = (getattr(sys.modules.get(module), "BaseModel", None) for module in ("pydantic.main", "pydantic.v1.main"))
    return isinstance(kind, type) and any(isinstance(base, type) and issubclass(kind, base) for base in bases)


def is_data(kind: Any) -> bool:
    """Tell whether a class only holds data: an enumeration, data class, named tuple or pydantic model."""
    if not isinstance(kind, type):
        return False
    if issubclass(kind, tuple):
        return isinstance(getattr(cast("Any", kind), "_fields", None), tuple)
    return issubclass(kind, Enum) or dataclasses.is_dataclass(cast("Any", kind)) or is_model(kind)


def is_restorable(kind: type, allowed: frozenset[Named]) -> bool:
    """Tell whether another process can restore a value of this class. `allowed` are the pairs in `types=`."""
    key = (kind.__module__, kind.__qualname__)
    if key in _SAFE or key in allowed or (kind.__module__, kind.__name__) in allowed:
        return True
    return kind.__module__.startswith("pathlib") or (is_data(kind) and _loaded(*key) is kind)


def restored(code: int, parts: list[Any], allowed: frozenset[Named]) -> Any:
    """Return the value that an extension holds. `code` is its number; `parts` are the module, name and body.

    Raises `NotRestorable` for a type that is not restored, and any exception that a class raises while it is filled.
    """
    module, name, body = parts[:3]
    key = (module, name)
    if not isinstance(module, str) or not isinstance(name, str):
        raise NotRestorable
    if key in _SAFE or (module.startswith("pathlib") and name in _PATHS):
        return _made(code, getattr(importlib.import_module(module), name), body, parts)
    if key in allowed:
        importlib.import_module(module)
        kind = _loaded(module, name)
        return _filled(code, kind, body) if is_data(kind) else _made(code, kind, body, parts)
    kind = _loaded(module, name)
    if not is_data(kind):
        raise NotRestorable
    return _filled(code, kind, body)


def plain_value_of(code: int, parts: list[Any]) -> Any:
    """Return the plain value that stands for one whose type is not restored: its fields, for a model or data class."""
    body: Any = parts[2]
    return cast("list[Any]", body)[0] if code == MODEL and isinstance(body, list) else body


def _loaded(module: str, name: str) -> Any:
    """Return what a loaded module has under a name, which may lead into classes; None if there is nothing."""
    found: Any = sys.modules.get(module)
    for part in name.split("."):
        found = cast("dict[str, Any]", vars(found)).get(part) if hasattr(found, "__dict__") else None
    # A module also holds classes that it has imported. Only a class that it defines may be named by it.
    if isinstance(found, type) and (found.__module__, found.__qualname__) == (module, name):
        return found
    return None


def _made(code: int, kind: Any, body: Any, parts: list[Any]) -> Any:
    """Return a value as LangGraph makes it: by the constructor."""
    if kind is None:
        raise NotRestorable
    if code == METHOD:
        return kind.fromisoformat(body) if parts[3] == "fromisoformat" and parts[0] == "datetime" else body
    if kind.__module__ == "langgraph.types" and kind.__name__ == "Send":
        return kind(body[0], body[1], timeout=body[2]) if len(body) > 2 else kind(*body)
    if code in (FIELDS, MODEL) or is_model(kind):
        return _filled(code, kind, body)
    if isinstance(body, dict):
        return kind(**cast("dict[str, Any]", body))
    return kind(*body) if code == POSITIONS else kind(body)


def _filled(code: int, kind: Any, body: Any) -> Any:
    """Return data of a class with nothing of the class called, as far as what was stored is what it has now."""
    if issubclass(kind, Enum):
        return kind(body)
    if code == MODEL:
        return _model(kind, *body)
    if not isinstance(body, dict):
        return body
    held = cast("dict[str, Any]", body)
    if is_model(kind):
        return _validated(kind, held)
    if issubclass(kind, tuple):
        fields = cast("Any", kind)._fields
        if set(fields) != set(held):
            return cast("Any", kind)(**held)
        return cast("Any", tuple).__new__(kind, [held[name] for name in fields])
    return _data_class(kind, held)


def _data_class(kind: Any, held: Mapping[str, Any]) -> Any:
    made = object.__new__(kind)
    for field in dataclasses.fields(kind):
        if field.name in held:
            continue
        if field.default is not dataclasses.MISSING:  # a field that the class did not have then
            object.__setattr__(made, field.name, field.default)
        elif field.default_factory is not dataclasses.MISSING:
            object.__setattr__(made, field.name, field.default_factory())
    names = {field.name for field in dataclasses.fields(kind)}
    for name, value in held.items():
        try:
            object.__setattr__(made, name, value)
        except AttributeError:
            if name in names:
                raise
    return made


def _model(kind: Any, held: dict[str, Any], extra: Any, fields_set: list[str], private: Any) -> Any:
    current = hasattr(kind, "model_fields")
    fields: Any = kind.model_fields if current else kind.__fields__
    grown = not set(fields) <= set(held) or (private is None and kind.__private_attributes__)
    if grown:  # by a field or an attribute that the model did not have then
        return _validated(kind, {**held, **(extra or {})})
    made = object.__new__(kind)
    state: dict[str, Any] = {"__dict__": held}
    if current:
        state |= {
            "__pydantic_extra__": extra, "__pydantic_fields_set__": set(fields_set), "__pydantic_private__": private
        }  # fmt: skip
    else:
        state |= {"__fields_set__": set(fields_set), "__private_attribute_values__": private or {}}
    made.__setstate__(state)
    return made


def _validated(kind: Any, held: dict[str, Any]) -> Any:
    """Return a model as LangGraph makes it."""
    try:
        return kind(**held)
    except Exception:  # noqa: BLE001 - a validator may raise anything
        build: Callable[..., Any] = getattr(kind, "model_construct", None) or kind.construct
        return build(**held)
