"""Why two runs differ: the causes that their bundles can show, most upstream first.

A configuration, a model, a contract, a system prompt are known before the first step. Where those are equal, the first
step that differs tells: it was asked something else, found or got something else, or the agent chose otherwise. What is
reported is the first difference that nothing earlier explains. It is no proof: what no bundle holds, such as the code
of the agent, may be behind it.
"""

from typing import Any, NamedTuple, cast

from runbundle.compare.changes import Change, Compared
from runbundle.format.run import RunIndex
from runbundle.signals import own, semconv
from runbundle.signals.reading import written_of

CONFIG, MODEL, CONTRACT, PROMPT, ASKED, EVIDENCE, WORLD, CHOICE, RECORD = (f"RB60{number}" for number in range(1, 10))
_MOST_PROMPTS = 64
"""Model calls whose prompts are compared role by role: that of the system is said at each of them."""
_NAMED = 3
_DECISIONS = frozenset({"allowed", "approved", "blocked", "denied"})


class Cause(NamedTuple):
    """A cause, and the step where it shows first."""

    code: str
    sentence: str
    change: Change | None = None


def causes(found: Compared, config: list[str]) -> list[Cause]:
    """Return what may be the cause, most upstream first. `config`: the paths at which the configurations differ."""
    a, b = found.a.index, found.b.index
    listed: list[Cause] = []
    if config:
        listed.append(Cause(CONFIG, f"the configuration differs at {_some(config)}"))
    if said := _models(a, b):
        listed.append(Cause(MODEL, said, _first(found, "model")))
    if said := _contracts(a, b):
        listed.append(Cause(CONTRACT, said))
    if (change := _prompt(found)) is not None:
        listed.append(Cause(PROMPT, "the system prompt differs", change))
    if (first := _of_first(found, listed)) is not None:
        listed.append(first)
    return listed


def _some(names: list[str]) -> str:
    more = len(names) - _NAMED
    return ", ".join(names[:_NAMED]) + (f" and {more} more" if more > 0 else "")


def _models(a: RunIndex, b: RunIndex) -> str:
    if a.versions.models != b.versions.models:
        return f"the model differs: {_some(a.versions.models) or 'none'} became {_some(b.versions.models) or 'none'}"
    for what, one, other in (
        ("engine", _engine(a), _engine(b)),
        ("provider's package", _packages(a), _packages(b)),
    ):
        if one != other:
            return f"the {what} differs: {one or 'none'} became {other or 'none'}"
    return ""


def _engine(index: RunIndex) -> str:
    engine = index.versions.engine
    return f"{engine.name} {engine.version}" if engine is not None else ""


def _packages(index: RunIndex) -> str:
    return ", ".join(f"{name} {version}" for name, version in sorted(index.versions.providers.items()))


def _contracts(a: RunIndex, b: RunIndex) -> str:
    one, other = a.redaction.contracts, b.redaction.contracts
    tools = sorted(tool for tool in one.keys() & other.keys() if one[tool].sha256 != other[tool].sha256)
    if tools:
        return f"the contract differs of {_some(tools)}"
    if a.redaction.policy != b.redaction.policy:
        return "the redaction policy differs, so the two may show different parts of equal values"
    return ""


def _first(found: Compared, part: str) -> Change | None:
    return next((change for change in found.changes if part in change.parts), None)


def _prompt(found: Compared) -> Change | None:
    """Return the first model call whose system prompt differs."""
    asked = [change for change in found.changes if change.op == "model" and "given" in change.parts]
    for change in asked[:_MOST_PROMPTS]:
        before, after = (_roles(said, "system") for said in found.lines(change))
        if before != after:
            return change
    return None


def _roles(said: dict[str, Any], role: str) -> list[str]:
    """Return the digests of a prompt's messages of a role; `developer` stands for `system`."""
    found: list[str] = []
    described = written_of(said.get(own.MESSAGES))
    if isinstance(described, dict):
        for key in (semconv.SYSTEM_INSTRUCTIONS, semconv.INPUT_MESSAGES, semconv.PROMPT):
            about: Any = cast("dict[str, Any]", described).get(key)
            if not isinstance(about, dict):
                continue
            for one in cast("dict[str, Any]", about).get("roles") or ():
                said_by = "system" if key == semconv.SYSTEM_INSTRUCTIONS or one[0] == "developer" else one[0]
                if said_by == role:
                    found.append(str(one[1]))
    return found


def _of_first(found: Compared, upstream: list[Cause]) -> Cause | None:
    """Return what the first step says that differs and follows from nothing; None if there is none, or it is listed."""
    first = next((change for change in found.changes if not change.follows), None)
    if first is None:
        return None
    if any(cause.change is first for cause in upstream):
        return None
    name, parts = f"{first.op} {first.name}", first.parts
    if first.verdict == "changed":
        if "status" in parts and "given" not in parts and _decided(found, first):
            return Cause(CONTRACT, f"the policy decided otherwise at {name}", first)
        if first.op == "model" and "given" in parts:
            return Cause(ASKED, f"{name} was asked something else", first)
        if first.op == "retrieval" and "given" not in parts and "gave" in parts:
            return Cause(EVIDENCE, f"{name} was asked the same and found other documents", first)
        if first.op == "tool" and "given" not in parts:
            return Cause(WORLD, f"{name} was given the same and {_ended_or_gave(parts)}", first)
        if first.op == "model" and "model" in parts:
            return None
    return _chosen(found, first)


def _ended_or_gave(parts: tuple[str, ...]) -> str:
    return "gave something else: the world changed" if "gave" in parts else "ended otherwise: the world changed"


def _decided(found: Compared, change: Change) -> bool:
    """Tell whether the policy decided otherwise of the same call."""
    texts = found.numbers.texts
    one, other = texts[found.steps_a.status[change.row_a]], texts[found.steps_b.status[change.row_b]]
    return _DECISIONS & {*one} != _DECISIONS & {*other}


def _chosen(found: Compared, first: Change) -> Cause:
    """Return that the agent chose otherwise, with the step where it shows: an act rather than the answer before it."""
    act = first
    if first.op == "model":
        acts = (one for one in found.changes if not one.follows and one.op in ("tool", "retrieval", "agent", "step"))
        act = next(acts, first)
    name, behind = f"{act.op} {act.name}", "" if act is first else f", after {first.op} {first.name} answered otherwise"
    told = {
        "added": f"the agent chose otherwise: only B has {name}{behind}",
        "removed": f"the agent chose otherwise: only A has {name}{behind}",
        "moved": f"the agent chose otherwise: {name} came in another order{behind}",
        "changed": f"the agent chose otherwise: it gave {name} other {_word(act.op)}{behind}",
    }[act.verdict]
    if act.op == "model" and act.verdict == "changed":
        told = f"the agent chose otherwise: {name} was asked the same and answered something else"
    elif act.verdict == "changed" and "given" not in act.parts:
        told = f"{name} ended otherwise, though nothing beneath it differs"
    return Cause(CHOICE, told, act)


def _word(op: str) -> str:
    return {"tool": "arguments", "retrieval": "words to look for"}.get(op, "input")
