"""The fields of run.json that say whose run it was, how it ended and what came of it.

Where the run's own span does not say it, as the span of a web request does not, its agents do.
"""

from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple, cast

import orjson

from runbundle.bundle.assembly.acts import Acts, CountedActs
from runbundle.bundle.assembly.entries import stated_captures
from runbundle.bundle.assembly.plain_run import VERSIONS, written
from runbundle.bundle.assembly.sorting import Sorter
from runbundle.bundle.assembly.tally import RunTotals
from runbundle.bundle.assembly.timeline import Span
from runbundle.redaction.markers import is_marker, marker_parts
from runbundle.signals import own, semconv
from runbundle.signals.reading import count_of, text_of, written_of

_MEMORY_BYTES = 4_194_304


class Outcome(NamedTuple):
    """What the last agent directly below the run's own span says of how the run ended."""

    error: dict[str, Any] | None = None
    """Its error, if it ended with one and no work began after it that did not."""
    result: dict[str, Any] | None = None
    """Its result."""


class Agents:
    """The agents of a run, in the order in which they ended; on disk where memory is not enough."""

    def __init__(self, scratch: Path) -> None:
        self._lines = Sorter(scratch, _MEMORY_BYTES)

    def close(self) -> None:
        """Free memory and disk."""
        self._lines.close()

    def add(self, row: int, span: Span, began: str) -> None:
        """Add an agent's span. `began`: id of the span where its error began; empty if in itself."""
        start_ns, trace_id, span_id = span.order
        said = {
            "error": span.error(began or span_id) if span.status == "error" else None,
            "result": result_of(span.attributes),
        }
        key = f"{span.record['end_ns']:020d}{start_ns:020d}{trace_id}{span_id}{row:010d}"
        self._lines.add(key.encode() + orjson.dumps(said))

    def outcome(self, top: int, acts: Acts | CountedActs, parent_of: Callable[[int], int], good_ns: int) -> Outcome:
        """Return what the last agent says for which nothing but steps and other work lies between it and row `top`.

        Its error counts only if these are unset, too. `good_ns`: start of the last work that ended in no error.
        """
        found = Outcome()
        for line in self._lines:
            below, unset = acts.below(int(line[88:98]), top, parent_of)
            if below:
                said = orjson.loads(line[98:])
                last = unset and int(line[:20]) > good_ns
                found = Outcome(said["error"] if last else None, said["result"])
        return found


_SAID = {
    "request_id": own.REQUEST_ID,
    "user_id": own.USER_ID,
    "session_id": own.SESSION_ID,
    "case_id": own.CASE_ID,
    "resumed_from": own.RESUMED_FROM,
    "claimed": own.CLAIMED_RUN_ID,
    "name": own.NAME,
}
"""Text fields of run.json, and the attributes of the run's own span that give them."""


def identity(about: dict[str, Any], tally: RunTotals, rules: int) -> dict[str, Any]:
    """Return the fields that name the run, its user, its session and what it is a part of."""
    fields: dict[str, Any] = {}
    for field_name, key in _SAID.items():
        value = text_of(about, key)
        if value is not None:
            fields[field_name] = value
    if is_marker(fields.get("name")):
        del fields["name"]
    if "claimed" in fields:
        fields["claimed"] = marker_parts(fields["claimed"])[0] or fields["claimed"]
    implicit = about.get(own.IMPLICIT) is True
    if (implicit if rules < 2 else tally.is_implicit) and text_of(about, semconv.AGENT_NAME):
        fields.setdefault("name", text_of(about, semconv.AGENT_NAME))
    if rules > 1:
        _from_spans(fields, about, tally)
    for field_name, key in (("attempt", own.RUN_ATTEMPT), ("repeat", own.REPEAT)):
        if about.get(key) is not None:
            fields[field_name] = count_of(about, key)
    parent = text_of(about, own.PARENT_RUN_ID)
    if parent is not None:
        fields["parent_run"] = {"run_id": parent, "span_id": text_of(about, own.PARENT_SPAN_ID) or ""}
    return fields


def _from_spans(fields: dict[str, Any], about: dict[str, Any], tally: RunTotals) -> None:
    """Complete the fields by what the first of the run's spans says that says it."""
    said = tally.said
    for field_name, keys in (("session_id", (own.SESSION_ID, semconv.CONVERSATION_ID)), ("user_id", (own.USER_ID,))):
        for key in keys:
            value = text_of(about, key) or said.get(key)
            if value is not None:
                fields.setdefault(field_name, value)
    if tally.is_implicit and semconv.AGENT_NAME in said:
        fields.setdefault("name", said[semconv.AGENT_NAME])


def status(tally: RunTotals, *, begun: bool, failed: bool) -> str:
    """Return the status of the run. It is `incomplete` if the run's end or beginning is missing, or if two runs share
    the bundle. `failed`: the run's own span does not say how it ended, and its last agent ended in an error.
    """
    if tally.final is None:
        return "incomplete"
    said = {"unset": "error" if failed else "ok"}.get(tally.final.status, tally.final.status)
    return "incomplete" if said == "ok" and (tally.roots > 1 or not begun) else said


_RESULTS = (own.RESULT, semconv.FINAL_RESULT, semconv.OUTPUT_MESSAGES)
"""The attributes that say what came of a run or of an agent's work; the first that is there is believed."""


def result_of(attributes: dict[str, Any], rules: int = 2) -> dict[str, Any] | None:
    """Return the result that a span says, by the first of the attributes that say one; None if it says none."""
    keys = _RESULTS if rules > 1 else _RESULTS[:2]
    key = next((key for key in keys if attributes.get(key)), None)
    value = attributes[key] if key else None
    if key is None or not isinstance(value, str):
        return None
    kind = "messages" if key == semconv.OUTPUT_MESSAGES else text_of(attributes, own.RESULT_KIND) or "unknown"
    said = stated_captures(attributes).get(key if rules > 1 else own.RESULT)
    digest, size = (said.digest, said.size) if said else ("", None)
    if is_marker(value) and not digest:
        digest, size = marker_parts(value)
    view = None if is_marker(value) else written_of(value)
    return {"kind": kind, "digest": digest or None, "bytes": size, "view": view}


def versions(about: dict[str, Any], tally: RunTotals, sdk_versions: frozenset[str]) -> dict[str, Any]:
    """Return the versions of the software that made the run."""
    text = about.get(own.VERSIONS)
    made = dict(_fitting(text)) if isinstance(text, str) else {}
    made["models"] = sorted(tally.models)
    if sdk_versions and "otel_sdk" not in made:
        made["otel_sdk"] = min(sdk_versions)
    made["semconv"] = max(tally.schema_urls) if tally.schema_urls else "gen-ai"
    return made


@lru_cache(maxsize=16)  # all runs of a process say the same
def _fitting(text: str) -> dict[str, Any]:
    """Return the versions whose types fit run.json: a span may carry anything there."""
    value = written_of(text)
    if not isinstance(value, dict):
        return {}
    said = cast("dict[str, Any]", value)
    if written(VERSIONS, {**said, "semconv": ""}) is not None:
        return said
    from pydantic import ValidationError  # few say what is for the model to judge

    from runbundle.format.run import Versions

    try:
        Versions.model_validate({**said, "semconv": ""})
    except ValidationError as error:
        unfit = {detail["loc"][0] for detail in error.errors(include_input=False, include_url=False)}
        return {key: value for key, value in said.items() if key not in unfit}
    return said


def redaction(about: dict[str, Any], tally: RunTotals) -> dict[str, Any]:
    """Return the summary of the redaction."""
    return {
        "policy": text_of(about, own.REDACTION_POLICY),
        "contracts": dict(sorted(tally.contracts.items())),
        "key_id": text_of(about, own.REDACTION_KEY_ID),
        "totals": [{"rule": r, "action": a, "count": n} for (r, a), n in sorted(tally.redactions.items())],
        "content_mode": "debug" if about.get(own.REDACTION_MODE) == "debug" else "digest",
    }
