"""The protocol of a user's scorer, and the reading of what it returns.

A scorer is a function of a sealed bundle. It may say its `version`, its `kind` ("code", "llm_judge" or "human"), its
`config` (any JSON value) and its `judge_model` as attributes: scores of different configurations are not compared.

    def polite(bundle: Bundle) -> Iterable[Score]:
        for event in bundle.events():
            if event["type"] == "span.ended" and event["op"] == "model":
                yield Score(name="polite", value=1.0, evidence=[EventRef(seq=event["seq"], span_id=event["span_id"])])

    polite.version = "3"
"""

import math
from collections.abc import Iterable, Mapping
from typing import Any, Protocol, cast

from pydantic import ValidationError

from runbundle.bundle.reader import Bundle, first_problem
from runbundle.format.canonical import sha256_hex, to_json_bytes
from runbundle.format.evaluation import Evaluator, EventRef, Score

MOST_SCORES = 1_000
_MOST_EVIDENCE = 100
_MOST_CHARS = 500
_KINDS = ("code", "llm_judge", "human")


class Scorer(Protocol):
    """A scorer of the user. It returns scores, mappings with the fields of a score, or one number."""

    def __call__(self, bundle: Bundle, /) -> Any:
        """Score one bundle, which it can read and not change."""
        ...


def evaluator_from(scorer: object, identity: str) -> Evaluator:
    """Return a scorer as the origin of its scores, by what its attributes say. Raises `TypeError` for odd ones."""
    config, version, model = (getattr(scorer, name, None) for name in ("config", "version", "judge_model"))
    kind = getattr(scorer, "kind", "code")
    return Evaluator(
        id=identity,
        kind=kind if kind in _KINDS else "code",
        version=None if version is None else str(version),
        config_sha256=None if config is None else sha256_hex(to_json_bytes(config)),
        judge_model=None if model is None else str(model),
    )


def scores_from(returned: Any, identity: str) -> list[Score]:
    """Return the scores in what a scorer returned. What is none becomes a score with status `error`."""
    if isinstance(returned, Score | Mapping) or not isinstance(returned, Iterable) or isinstance(returned, str):
        returned = [returned]
    found: list[Score] = []
    for item in cast("Iterable[Any]", returned):
        if len(found) == MOST_SCORES:
            found.append(failed(identity, f"returned more than {MOST_SCORES} scores"))
            break
        found.append(_score(item, identity))
    return found or [failed(identity, "returned no score")]


def failed(identity: str, reason: str, name: str = "") -> Score:
    """Return the score of a scorer that gave none. Its name is that of the scorer's function."""
    return Score(name=name or identity.rpartition(":")[2], status="error", reason=reason, evaluator=identity)


def _score(item: Any, identity: str) -> Score:
    if isinstance(item, bool | int | float):
        item = {"name": identity.rpartition(":")[2], "value": float(item)}
    if isinstance(item, Score):
        item = item.model_dump()
    if not isinstance(item, Mapping):
        return failed(identity, f"returned {type(item).__name__}, which is no score")
    fields = {str(name): value for name, value in cast("Mapping[Any, Any]", item).items()}
    name = str(fields.get("name") or "")[:_MOST_CHARS]
    value = fields.get("value")
    if isinstance(value, int | float) and not math.isfinite(value):
        return failed(identity, f"its value is {value}, which is no number", name)
    try:
        fields["evidence"] = [_ref(one) for one in cast("list[Any]", fields.get("evidence") or [])][:_MOST_EVIDENCE]
        score = Score.model_validate({**fields, "evaluator": identity})
    except ValidationError as error:
        return failed(identity, f"is no score: {first_problem(error)}", name)
    except TypeError as error:
        return failed(identity, str(error), name)
    if score.status == "ok" and score.value is None and score.label is None:
        return failed(identity, "has neither a value nor a label", name)
    cut = {"label": score.label and score.label[:_MOST_CHARS], "reason": score.reason and score.reason[:_MOST_CHARS]}
    return score.model_copy(update=cut)


def _ref(one: Any) -> EventRef:
    """Return evidence as a reference; an event of the bundle is one, too."""
    if isinstance(one, EventRef):
        return one
    if isinstance(one, Mapping):
        fields = cast("Mapping[str, Any]", one)
        return EventRef(seq=fields.get("seq", -1), span_id=str(fields.get("span_id", "")))
    raise TypeError(f"names {type(one).__name__} as evidence, which is no event")
