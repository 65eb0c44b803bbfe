"""Facts about a bundle that run.json does not have and searches need: its calls by tool and model, errors, scores.

They are added up from tool_calls.json, events.jsonl and the scorecard, one line at a time. The files may come from
anybody: what has another shape than expected gives no fact, and nothing raises.
"""

from collections.abc import Iterable, Mapping
from typing import Any, cast

import orjson

from runbundle.bundle.facts import Act, Facts
from runbundle.redaction.markers import MARKER
from runbundle.signals import semconv
from runbundle.signals.reading import LARGEST, count_of, text_of

_MOST_GROUPS, _MOST_SCORES = 1000, 200
_MOST_ERROR_CHARS = 16_384
_MOST_NAME_CHARS = 256


class FactsOf:
    """Adds up the facts of one bundle. Give it what there is, then take `facts`."""

    def __init__(self) -> None:
        self._acts: dict[tuple[str, str, str, str], list[int]] = {}
        self._agents: set[str] = set()
        self._errors: dict[str, None] = {}
        self._chars = 0
        self._scores: dict[tuple[str, float, str], None] = {}
        self._models: dict[str, tuple[str, dict[str, Any]]] = {}

    def tool_calls(self, data: bytes) -> None:
        """Add tool_calls.json."""
        for call in _list(_parsed(data), "calls"):
            error = _mapping(call.get("error"))
            self.error(error)
            self.act("tool", _name(call.get("tool")), call.get("status"), error, call.get("duration_ns"))

    def events(self, lines: Iterable[bytes]) -> None:
        """Add events.jsonl, line by line; only lines that may say something are parsed."""
        for line in lines:
            if b'"type":"span.ended"' in line:
                is_model = b'"op":"model"' in line
                if is_model or b'"error":{' in line:
                    self._ended(_parsed(line), is_model=is_model)
            elif b'"op":"agent"' in line and b'"type":"span.started"' in line:
                self._agents.add(_name(_parsed(line).get("name")).removeprefix("invoke_agent "))
            elif b'"type":"score"' in line:
                said = _mapping(_parsed(line).get("attributes"))
                self._score(
                    said.get(semconv.EVALUATION_NAME), said.get(semconv.SCORE_VALUE),
                    said.get(semconv.SCORE_LABEL),
                )  # fmt: skip

    def scorecard(self, data: bytes) -> None:
        """Add eval/scorecard.json."""
        for score in _list(_parsed(data), "scores"):
            self._score(score.get("name"), score.get("value"), score.get("label"))

    def facts(self) -> Facts:
        """Return what was added up. Of model spans within each other the innermost is the call."""
        around = {parent for parent, _ in self._models.values()}
        for span, (_, event) in self._models.items():
            if span not in around:
                said = _mapping(event.get("attributes"))
                name = text_of(said, semconv.RESPONSE_MODEL) or text_of(said, semconv.REQUEST_MODEL) or "?"
                tokens = count_of(said, semconv.INPUT_TOKENS), count_of(said, semconv.OUTPUT_TOKENS)
                error = _mapping(event.get("error"))
                self.act("model", name[:_MOST_NAME_CHARS], event.get("status"), error, event.get("duration_ns"), tokens)
        self._models = {}
        acts = [Act(*key, *numbers) for key, numbers in sorted(self._acts.items())]
        told = {text.partition(": ")[0] for text in self._errors if ": " in text}
        errors = [text for text in self._errors if text not in told]  # a bare type says less than one with its message
        return Facts(acts, sorted(self._agents), "\n".join(errors), sorted(self._scores))

    def _ended(self, event: Mapping[str, Any], *, is_model: bool) -> None:
        self.error(_mapping(event.get("error")))
        if is_model and len(self._models) < 1_000_000:
            kept = {key: event.get(key) for key in ("attributes", "status", "error", "duration_ns")}
            said = _mapping(kept["attributes"])
            kept["attributes"] = {key: said[key] for key in _MODEL_KEYS if key in said}
            self._models[str(event.get("span_id"))] = str(event.get("parent_span_id")), kept

    def error(self, error: Mapping[str, Any]) -> None:
        """Add an error: its type and message."""
        if error and self._chars < _MOST_ERROR_CHARS:
            text = error_text(error)
            if text not in self._errors:
                self._errors[text] = None
                self._chars += len(text)

    def act(
        self, kind: str, name: str, status: Any, error: Mapping[str, Any], took: Any, tokens: tuple[int, int] = (0, 0)
    ) -> None:
        """Add one call of a tool or model. `took`: its duration in nanoseconds, as decimal text."""
        word = {"unset": "ok"}.get(_name(status), _name(status))
        key = kind, name, word, _name(error.get("type"))
        if not name or (key not in self._acts and len(self._acts) >= _MOST_GROUPS):
            return
        ns = min(int(took), LARGEST) if isinstance(took, str) and took.isascii() and took.isdigit() else 0
        known = self._acts.setdefault(key, [0, 0, 0, 0, 0])
        for place, value in enumerate((1, ns, 0, *tokens)):
            known[place] = min(known[place] + value, LARGEST)
        known[2] = max(known[2], ns)

    def _score(self, name: Any, value: Any, label: Any) -> None:
        if _name(name) and type(value) in (int, float) and abs(value) < 1e300 and len(self._scores) < _MOST_SCORES:
            self._scores[_name(name), float(value), _name(label)] = None


def error_text(error: Mapping[str, Any]) -> str:
    """Return the type of an error and its message as far as it is kept, on one line; no marker is in it."""
    message = error.get("message")
    kept = " ".join(MARKER.sub("", message[:4096]).split()) if isinstance(message, str) else ""
    return f"{_name(error.get('type'))}: {kept}" if kept else _name(error.get("type"))


def acts_of(text: str | None) -> list[Act]:
    """Return the acts that a row of an index has as JSON. Total: what is no act is left out."""
    found: list[Act] = []
    for values in cast("list[Any]", _parsed((text or "").encode("utf-8", "replace"), list) or []):
        if isinstance(values, list) and len(cast("list[Any]", values)) == len(Act._fields):
            act = Act(*cast("list[Any]", values))
            if all(type(value) is str for value in act[:4]) and all(_is_count(value) for value in act[4:]):
                found.append(act)
    return found


def scores_of(text: str | None) -> list[tuple[str, float, str]]:
    """Return the scores that a row of an index has as JSON. Total, likewise."""
    found: list[tuple[str, float, str]] = []
    for values in cast("list[Any]", _parsed((text or "").encode("utf-8", "replace"), list) or []):
        match values:
            case [str(name), int() | float() as value, str(label)]:
                found.append((name, float(value), label))
            case _:
                pass
    return found


_MODEL_KEYS = (semconv.RESPONSE_MODEL, semconv.REQUEST_MODEL, semconv.INPUT_TOKENS, semconv.OUTPUT_TOKENS)


def _is_count(value: object) -> bool:
    return type(value) is int and 0 <= value <= LARGEST


def _parsed(data: bytes, kind: type = dict) -> Any:
    try:
        value: Any = orjson.loads(data)
    except orjson.JSONDecodeError:
        return kind()
    return value if isinstance(value, kind) else kind()


def _list(value: Mapping[str, Any], name: str) -> list[Mapping[str, Any]]:
    found = value.get(name)
    return [each for each in cast("list[Any]", found) if isinstance(each, dict)] if isinstance(found, list) else []


def _mapping(value: Any) -> Mapping[str, Any]:
    return cast("Mapping[str, Any]", value) if isinstance(value, dict) else {}


def _name(value: Any) -> str:
    return value[:_MOST_NAME_CHARS] if isinstance(value, str) else ""
