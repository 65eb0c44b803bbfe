"""Reading a gate's policy from YAML or JSON. A mistake is named with its line and the nearest word that is known."""

from pathlib import Path
from typing import Any, NamedTuple, cast, get_args

from pydantic import BaseModel, ValidationError

from runbundle.codec.yaml_text import repeated_key
from runbundle.compare.gating.policy import CHECKS, Policy, WaiverSettings
from runbundle.compare.scoring.builtin import Cost, ForbiddenTools, Plain, Price, ResultFits, ResultMatches, Trajectory
from runbundle.errors import ConfigError
from runbundle.format.canonical import sha256_hex
from runbundle.format.evaluation import PolicyRef
from runbundle.settings import nearest

_MOST_BYTES = 1_048_576
_USES: dict[str, type[BaseModel]] = {
    **dict.fromkeys(get_args(Plain.model_fields["use"].annotation), Plain),
    **{
        get_args(model.model_fields["use"].annotation)[0]: model
        for model in (Trajectory, ForbiddenTools, Cost, ResultMatches, ResultFits)
    },
}


class Loaded(NamedTuple):
    """A policy, as it was read."""

    policy: Policy
    ref: PolicyRef
    lines: dict[str, int]
    """The line of each check, by its id."""


def load_policy(path: str | Path) -> Loaded:
    """Read a policy. Raises `ConfigError` that names the file, the line, and what was probably meant."""
    path = Path(path)
    try:
        with path.open("rb") as file:
            data = file.read(_MOST_BYTES + 1)
    except OSError as error:
        raise ConfigError(f"{path} cannot be read: {error.strerror}", hint="give the path of a policy") from None
    if len(data) > _MOST_BYTES:
        raise ConfigError(f"{path} is larger than 1 MiB", hint="a policy is a page of text")
    value, node = _parsed(path, data)
    if not isinstance(value, dict):
        raise ConfigError(f"{path}: a policy is a mapping", hint="with checks: and a list below it")
    try:
        policy = Policy.model_validate(value)
    except ValidationError as error:
        raise _problem(path, value, node, error) from None
    known = [check.id for check in policy.checks]
    for number, waiver in enumerate(policy.waivers):
        if waiver.check not in known:
            raise ConfigError(
                f"{path}:{_line(node, ('waivers', number, 'check'))}: there is no check {waiver.check!r}",
                hint=_meant(waiver.check, known),
            )
    lines = {check.id: _line(node, ("checks", number)) for number, check in enumerate(policy.checks)}
    return Loaded(policy, PolicyRef(name=path.name, sha256=sha256_hex(data)), lines)


def _parsed(path: Path, data: bytes) -> tuple[Any, Any]:
    try:
        import yaml
    except ImportError:
        raise ConfigError("a policy needs PyYAML", hint="pip install 'runbundle[gate]'") from None
    loader: Any = None
    try:
        loader = yaml.SafeLoader(data.decode())
        node: Any = loader.get_single_node()
        twice = repeated_key(node)
        if twice is not None:
            raise ConfigError(f"{path}:{twice[1]}: {twice[0]} is there twice", hint="keep one of them")
        return loader.construct_document(node) if node is not None else None, node
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f":{mark.line + 1}" if mark else ""
        raise ConfigError(f"{path}{where}: is not YAML", hint=str(getattr(error, "problem", "") or "")) from None
    except ConfigError:
        raise
    except (ValueError, RecursionError):
        raise ConfigError(f"{path}: is not YAML", hint="a policy is text in UTF-8") from None
    finally:
        if loader is not None:
            loader.dispose()


def _problem(path: Path, value: Any, node: Any, error: ValidationError) -> ConfigError:
    """Return the first mistake, with its line."""
    found = error.errors(include_input=False, include_url=False)
    # A misspelt key is missing under its right name, too: the misspelling is the cause.
    first = next((one for one in found if one["type"] == "extra_forbidden"), found[0])
    steps = _steps(value, first["loc"])
    line, word = _line(node, steps), str(steps[-1]) if steps else ""
    place = f"{path}:{line}" if line else str(path)
    if first["type"] == "extra_forbidden":
        known = list(_model_at(value, steps[:-1]).model_fields)
        return ConfigError(f"{place}: there is no key {word!r} here", hint=_meant(word, known))
    if first["type"] == "union_tag_invalid":
        key = "type" if steps[:1] == ("checks",) else "use"
        tag = str(first.get("ctx", {}).get("tag", ""))
        line = _line(node, (*steps, key))
        hint = _meant(tag, list(CHECKS if key == "type" else _USES))
        if ":" in tag:
            hint = f"runbundle score RUNS --scorers {tag} runs it; a check then names its score"
        return ConfigError(f"{path}:{line}: there is no {key} {tag!r}", hint=hint)
    if first["type"] == "union_tag_not_found":
        return ConfigError(
            f"{place}: has no {'type' if steps[:1] == ('checks',) else 'use'}",
            hint=f"one of {', '.join(CHECKS)}" if steps[:1] == ("checks",) else f"one of {', '.join(_USES)}",
        )
    shown = ".".join(str(step) for step in steps)
    message = str(first["msg"]).removeprefix("Value error, ")
    return ConfigError(
        f"{place}: {shown}: {message}" if shown else f"{place}: {message}",
        hint="docs/gates.md has all keys",
    )


def _meant(word: str, known: list[str]) -> str:
    near = nearest(word, known)
    return f"did you mean {near}?" if near else f"one of {', '.join(known)}"


def _steps(value: Any, loc: tuple[int | str, ...]) -> tuple[int | str, ...]:
    """Return the path of a mistake without the names of types, which pydantic puts behind checks and scorers."""
    if len(loc) > 2 and loc[0] in ("checks", "scorers"):
        said: Any = value[loc[0]][loc[1]] if isinstance(value[loc[0]], list | tuple) else {}
        tag = (
            cast("dict[str, Any]", said).get("type" if loc[0] == "checks" else "use")
            if isinstance(said, dict)
            else None
        )
        if loc[2] == tag:
            loc = (*loc[:2], *loc[3:])
    return loc


def _model_at(value: Any, steps: tuple[int | str, ...]) -> type[BaseModel]:
    """Return the model that a mapping of a policy should be."""
    if len(steps) >= 2 and steps[0] in ("checks", "scorers"):
        said = value[steps[0]][steps[1]]
        found = CHECKS.get(said.get("type")) if steps[0] == "checks" else _USES.get(said.get("use"))
        if found is not None and len(steps) == 2:
            return found
        if "prices" in steps:
            return Price
        from runbundle.compare.scoring.builtin import ExpectedCall

        return ExpectedCall
    if steps[:1] == ("waivers",):
        return WaiverSettings
    if steps[:1] == ("prices",):
        return Price
    return Policy


def _line(node: Any, steps: tuple[int | str, ...]) -> int:
    """Return the line at which a path of a policy stands, or that of the last part of it that is there."""
    line = node.start_mark.line + 1 if node is not None else 0
    for step in steps:
        if node is None:
            break
        if node.id == "mapping":
            found = next(((key, inner) for key, inner in node.value if str(key.value) == str(step)), None)
            if found is None:
                break
            line, node = found[0].start_mark.line + 1, found[1]
        elif node.id == "sequence" and isinstance(step, int) and step < len(node.value):
            node = node.value[step]
            line = node.start_mark.line + 1
        else:
            break
    return line
