"""The built-in scorers, which need no model: each is a record of its settings and a function of a run's facts."""

from collections.abc import Sequence
from typing import Annotated, Any, Literal, get_args

import orjson
from pydantic import BaseModel, ConfigDict, Field, JsonValue, field_validator

from runbundle.compare.scoring.facts import Call, Facts
from runbundle.compare.scoring.trajectory import Arguments, Expected, Mode, matches, withheld
from runbundle.errors import ConfigError
from runbundle.format.canonical import sha256_hex, to_json_bytes
from runbundle.format.evaluation import Evaluator, EventRef, Score
from runbundle.redaction.detectors.patterns import compiled, compiles

LOWER = frozenset({
    "error_rate", "latency_s", "input_tokens", "output_tokens", "total_tokens", "tool_calls", "policy_blocks", "cost",
})  # fmt: skip
"""Names of scores of which less is better."""
MOST_EVIDENCE = 100
_REFUSED = ("blocked", "denied")


class Settings(BaseModel):
    """Settings of a scorer. A misspelt one is refused."""

    model_config = ConfigDict(extra="forbid", frozen=True)


PlainName = Literal[
    "error_rate", "latency_s", "input_tokens", "output_tokens", "total_tokens", "tool_calls", "policy_blocks",
    "ended_ok", "evidence_cited",
]  # fmt: skip


class Plain(Settings):
    """A scorer without settings."""

    use: PlainName
    name: str = ""


class ExpectedCall(Settings):
    """An expected tool call."""

    tool: str
    arguments: dict[str, JsonValue] | None = None


class Trajectory(Settings):
    """1 if the tool calls are those that are expected, else 0."""

    use: Literal["trajectory"]
    name: str = ""
    expected: tuple[ExpectedCall | str, ...]
    mode: Mode = "strict"
    arguments: Arguments = "ignore"


class ForbiddenTools(Settings):
    """1 if none of the tools was called, else 0."""

    use: Literal["forbidden_tools"]
    name: str = ""
    tools: tuple[str, ...] = Field(min_length=1)


class Price(Settings):
    """Prices of a model, per million tokens, in any one currency."""

    input: float = Field(ge=0, allow_inf_nan=False)
    output: float = Field(ge=0, allow_inf_nan=False)
    cache_read: float | None = Field(default=None, ge=0, allow_inf_nan=False)


class Cost(Settings):
    """The cost of all model calls, by the prices that are given."""

    use: Literal["cost"]
    name: str = ""
    prices: dict[str, Price]


class ResultMatches(Settings):
    """1 if the text of the result, as far as the policy keeps it, matches a regular expression, else 0."""

    use: Literal["result_matches"]
    name: str = ""
    pattern: str

    @field_validator("pattern")
    @classmethod
    def _compiles(cls, pattern: str) -> str:
        if not compiles(pattern):
            raise ValueError("is no regular expression of RE2")
        return pattern


class ResultFits(Settings):
    """1 if the result, as far as the policy keeps it, fits a JSON Schema, else 0."""

    use: Literal["result_fits"]
    name: str = ""
    fits: dict[str, JsonValue]


Builtin = Annotated[Plain | Trajectory | ForbiddenTools | Cost | ResultMatches | ResultFits, Field(discriminator="use")]
PLAIN = tuple(Plain(use=use) for use in get_args(PlainName))
"""The scorers that need no settings."""


def score_of(scorer: Builtin, facts: Facts) -> Score:
    """Return the score that a built-in scorer gives a run. A fault of the scorer is the score's error."""
    name = scorer.name or scorer.use
    try:
        score = _score(scorer, facts)
    except ConfigError:
        raise
    except Exception as error:  # noqa: BLE001 - a scorer that raises is that score's error
        score = Score(name=name, status="error", reason=f"the scorer raised {type(error).__name__}")
    return score.model_copy(update={"name": name, "evaluator": name, "evidence": score.evidence[:MOST_EVIDENCE]})


def evaluator_of(scorer: Builtin) -> Evaluator:
    """Return a built-in scorer as the origin of its scores, with a digest of its settings."""
    settings = scorer.model_dump(mode="json", exclude={"name"})
    return Evaluator(id=scorer.name or scorer.use, kind="builtin", config_sha256=sha256_hex(to_json_bytes(settings)))


def forbidden_calls(calls: Sequence[Call], tools: Sequence[str]) -> list[Call]:
    """Return the calls of tools that must not be called. A call that the policy refused is one, too."""
    return [call for call in calls if call.tool in tools]


def expected_calls(expected: Sequence[ExpectedCall | str]) -> list[Expected]:
    """Return expected calls as settings give them: by name alone, or with arguments."""
    return [Expected(one) if isinstance(one, str) else Expected(one.tool, one.arguments) for one in expected]


def _score(scorer: Builtin, facts: Facts) -> Score:
    if isinstance(scorer, Plain):
        return _plain(scorer.use, facts)
    if isinstance(scorer, Trajectory):
        match = matches(facts.calls, expected_calls(scorer.expected), scorer.mode, scorer.arguments)
        if match.ok is None:
            return _skipped(match.why)
        return _value(float(match.ok), [match.at.at] if match.at else [], match.why)
    if isinstance(scorer, ForbiddenTools):
        found = forbidden_calls(facts.calls, scorer.tools)
        return _value(float(not found), [call.at for call in found])
    if isinstance(scorer, Cost):
        return _cost(scorer, facts)
    return _of_result(scorer, facts)


def _plain(use: str, facts: Facts) -> Score:
    index, usage = facts.index, facts.index.usage
    if use == "error_rate":
        return _value(index.counts.errors / max(1, index.counts.spans), list(facts.failed))
    if use == "latency_s":
        return _value(int(index.duration_ns) / 1e9)
    if use == "tool_calls":
        return _value(float(index.counts.tool_calls), [call.at for call in facts.calls])
    if use == "policy_blocks":
        refused = [call.at for call in facts.calls if call.decision in _REFUSED]
        return _value(float(len(refused)), refused)
    if use == "ended_ok":
        return _value(float(index.status == "ok"), list(facts.failed) if index.status != "ok" else [])
    if use == "evidence_cited":
        return _cited(facts)
    if use == "total_tokens":
        known = usage.get("input_tokens", 0) + usage.get("output_tokens", 0) + usage.get("total_tokens", 0)
        return _value(float(known)) if usage else _skipped("no model call says its tokens")
    return _value(float(usage[use])) if use in usage else _skipped("no model call says its tokens")


def _cited(facts: Facts) -> Score:
    if not facts.documents:
        return _skipped("nothing was retrieved")
    text = _result_text(facts)
    if text is None:
        return _skipped("the result is withheld; configure(result=...) keeps parts of it")
    cited = [at for name, at in facts.documents if name in text]
    if not cited and withheld(facts.index.result.view if facts.index.result else None):
        return _skipped("a part of the result is withheld")
    return _value(float(bool(cited)), list({(at.seq, at.span_id): at for at in cited}.values()))


def _cost(scorer: Cost, facts: Facts) -> Score:
    usage = facts.index.usage
    if not usage:
        return _skipped("no model call says its tokens")
    named = [model for model, counts in facts.tokens.items() if counts] or list(facts.tokens)
    # Several spans may tell of one call: what they say by model holds only if it adds up to what run.json counts once.
    by_model = {named[0]: usage} if len(named) == 1 else facts.tokens
    summed = {
        kind: sum(counts.get(kind, 0) for counts in by_model.values()) for kind in ("input_tokens", "output_tokens")
    }
    if any(summed[kind] != usage.get(kind, 0) for kind in summed):
        return _skipped("the tokens of each model cannot be told")
    unknown = sorted(model for model, counts in by_model.items() if sum(counts.values()) and model not in scorer.prices)
    if unknown:
        return _skipped(f"there is no price of {unknown[0] or 'a model without a name'}")
    total = 0.0
    for model, counts in by_model.items():
        price = scorer.prices.get(model)
        if price is None:
            continue
        cached = counts.get("cache_read.input_tokens", 0) if price.cache_read is not None else 0
        total += (counts.get("input_tokens", 0) - cached) * price.input + counts.get("output_tokens", 0) * price.output
        total += cached * (price.cache_read or 0)
    return _value(total / 1e6)


def _of_result(scorer: ResultMatches | ResultFits, facts: Facts) -> Score:
    view = facts.index.result.view if facts.index.result else None
    text = _result_text(facts)
    if text is None:
        return _skipped("the result is withheld; configure(result=...) keeps parts of it")
    fits = (
        bool(compiled(scorer.pattern).search(text.encode()))
        if isinstance(scorer, ResultMatches)
        else _fits(scorer.fits, view)
    )
    if not fits and withheld(view):
        return _skipped("a part of the result is withheld")
    return _value(float(fits))


def _fits(schema: dict[str, JsonValue], view: Any) -> bool:
    try:
        import jsonschema
        from referencing import Registry
    except ImportError:
        raise ConfigError("result_fits needs jsonschema", hint="pip install 'runbundle[gate]'") from None
    found: Any = jsonschema.Draft202012Validator(schema, registry=Registry())  # which fetches nothing
    return bool(found.is_valid(view))


def _result_text(facts: Facts) -> str | None:
    """Return the text of what is kept of the result; None if all of it is withheld."""
    view = facts.index.result.view if facts.index.result else None
    if view is None or (isinstance(view, str) and withheld(view)):
        return None
    return view if isinstance(view, str) else orjson.dumps(view, option=orjson.OPT_SORT_KEYS).decode()


def _value(value: float, evidence: list[EventRef] | None = None, reason: str = "") -> Score:
    return Score(name="", value=value, evidence=evidence or [], reason=reason or None)


def _skipped(reason: str) -> Score:
    return Score(name="", status="skipped", reason=reason)
