"""A second pass of redaction, over the lines of a journal: anybody who can write to the file may have changed them.

The contracts, safe keys and safe names of the process that wrote a line are not known here. A line that a recorder
wrote must come back byte for byte, so this pass allows the most that any policy could have allowed. Rules that depend
on no policy apply as ever: known keys, shapes of names, ids and own values, markers and digests, detectors and known
secrets in every kept text, keys that name a credential. For the rest:

- a payload's view is kept, detectors applied, if its span names a contract; else it is withheld whole;
- an attribute under an unknown key is kept if it is a number or reads like a name, as a safe key's is;
- a name of a span or event is kept if it reads like a name.

Not promised: that a line of short names in known places was written by a recorder.
"""

import re
from collections.abc import Mapping
from functools import lru_cache
from typing import Any, cast, get_args

from runbundle.format.words import Target
from runbundle.process.regex import later
from runbundle.redaction.detectors.credential_words import credential_key, is_credential
from runbundle.redaction.markers import Digester
from runbundle.redaction.permitted.values import allowed, is_name
from runbundle.redaction.policy import Policy
from runbundle.redaction.receipt import parse_receipt
from runbundle.redaction.redactor import Redactor
from runbundle.signals import own, semconv
from runbundle.signals.keys import SPAN_KEYS
from runbundle.signals.records import LogRecordDict, SpanRecord

_NOTHING: dict[str, Any] = {"attributes": {}, "schema_url": ""}
_SPAN: dict[str, Any] = {
    "run_id": "", "tenant_id": "", "trace_state": "", "kind": 0, "end_ns": 0, "status_code": 0, "status_message": "",
    "remote_parent": False, "events": (), "links": (), "dropped": {},
    "scope": {"name": "", "version": "", "schema_url": "", "attributes": {}},
}  # fmt: skip
_LOG: dict[str, Any] = {
    "run_id": "", "tenant_id": "", "severity_text": "", "dropped": 0, "scope": _SPAN["scope"],
}  # fmt: skip
_START = ("k", "trace_id", "span_id", "parent_span_id", "start_ns", "is_run")
_CONTRACT = (own.CONTRACT_VERSION, own.CONTRACT_SHA256, own.SIDE_EFFECTS)
_TARGETS: tuple[Target, ...] = get_args(Target)
_DROPPED = frozenset({"attributes", "events", "links"})
_PLAIN_KEY = later(r"[A-Za-z0-9_][A-Za-z0-9_.:/-]{0,255}")
_LABEL = later(r"([a-z]{1,20})(?::(.*))?", re.DOTALL)


def redact_again(entry: dict[str, Any]) -> dict[str, Any]:
    """Return a journal's entry redacted once more. An entry that a recorder wrote comes back unchanged.

    Total on entries that `journal.entries` accepts. An entry of an unknown kind comes back unchanged; no reader uses
    it.
    """
    kind = entry["k"]
    if kind == "start":
        return _start(entry)
    if kind == "span":
        record = cast("SpanRecord", {**_SPAN, **entry, "resource": _NOTHING})
        record["events"] = [{**event, "dropped": event.get("dropped", 0)} for event in record["events"]]
        record["links"] = [{"trace_state": "", "dropped": 0, **link} for link in record["links"]]  # pyright: ignore[reportUnknownArgumentType]
        record["dropped"] = {key: count for key, count in record["dropped"].items() if key in _DROPPED}
        return _as_entry(entry, _span(record), _SPAN)
    if kind == "log":
        log = cast("LogRecordDict", {**_LOG, **entry, "resource": _NOTHING})
        attributes, names = log["attributes"], _names(log["event_name"])
        redactor = _redactor(_safe_keys(attributes), names, "", _by(attributes))
        return _as_entry(entry, redactor.redact_log(log), _LOG)
    return entry


def _as_entry(entry: dict[str, Any], redacted: Mapping[str, Any], defaults: Mapping[str, Any]) -> dict[str, Any]:
    """Return the redacted fields that an entry has, in its order; the resource is a number there."""
    known = {**redacted, "resource": entry.get("resource", 0)}
    return {key: known[key] for key in known if key in entry or key not in defaults}


def _span(record: SpanRecord) -> SpanRecord:
    attributes = record["attributes"]
    events = [event["name"] for event in record["events"]]
    keys = _safe_keys(attributes, *(part["attributes"] for part in (*record["events"], *record["links"])))
    stated = attributes.get(_CONTRACT[1])
    tool = attributes.get(semconv.TOOL_NAME)
    contracted = isinstance(tool, str) and is_name(tool) and isinstance(stated, str) and allowed("id", "", stated)
    names = _names(record["name"], *events)
    redacted = _redactor(keys, names, str(tool) if contracted else "", _by(attributes)).redact_span(record)
    if contracted:
        for was, part in ((attributes, redacted["attributes"]), *_pairs(record, redacted)):
            _restore(was, part)
    return redacted


def _pairs(record: SpanRecord, redacted: SpanRecord) -> Any:
    for was, part in zip(record["events"], redacted["events"], strict=False):
        yield was["attributes"], part["attributes"]


def _restore(was: Mapping[str, Any], part: dict[str, Any]) -> None:
    """Put back what the writer said of its contract, of which ours is none."""
    for key in _CONTRACT:
        if isinstance(was.get(key), str) and allowed(cast("Any", SPAN_KEYS[key]), key, was[key]):
            part[key] = was[key]
        else:
            part.pop(key, None)


def _start(entry: dict[str, Any]) -> dict[str, Any]:
    found = {key: entry[key] for key in _START if key in entry}
    lane, label = entry.get("lane", ""), _LABEL.fullmatch(entry.get("label", ""))
    if "lane" in entry:
        found["lane"] = lane if lane == "" or allowed("name", own.LANE, lane) else ""
    if "label" in entry:
        named = label is not None and (not label[2] or is_name(label[2]))
        found["label"] = entry["label"] if named else label[1] if label is not None else ""
    if "attributes" in entry:
        redacted = _span(cast("SpanRecord", {**_SPAN, **entry, "events": [], "links": [], "resource": _NOTHING}))
        found |= {"name": redacted["name"], "attributes": redacted["attributes"]}
    return found


def _safe_keys(*attributes: Mapping[str, Any]) -> frozenset[str]:
    """Return the unknown keys that a policy may have called safe: such a key is plain, and its value like a name."""
    return frozenset(
        key
        for part in attributes
        for key, value in part.items()
        if key not in SPAN_KEYS
        and not key.startswith(own.HIDDEN)
        and _PLAIN_KEY.fullmatch(key)
        and not is_credential(key, value)
        and allowed("name", key, value)
    )


def _names(*names: str) -> frozenset[str]:
    return frozenset(name for name in names if is_name(name) and credential_key(name) != "strong")


def _by(attributes: Mapping[str, Any]) -> str | None:
    """Return the name of the key under which an entry says that it was redacted; None if it names none.

    "" for a skeleton that an earlier version wrote: it is a recorder's, though it names no key.
    """
    receipt = parse_receipt(attributes.get(own.RECEIPT))
    return receipt.by if receipt is not None and (receipt.by or receipt.failed) else None


class _Writers(Digester):
    """Makes digests of a key that nobody knows, and takes what was redacted under the writer's key for its own."""

    def __init__(self, key_id: str | None) -> None:
        super().__init__()
        self.key_id = self.key_id if key_id is None else key_id

    def for_tenant(self, tenant: str) -> Digester:  # noqa: ARG002 - an entry is of one tenant
        return self


@lru_cache(maxsize=512)
def _redactor(safe_keys: frozenset[str], safe_names: frozenset[str], tool: str, key_id: str | None) -> Redactor:
    """Return a redactor under the policy that lets through the most, for entries of a writer with such a key."""
    from runbundle.format.contract import DataHandling, FieldRule, ToolContract  # here: a process needs it seldom

    rules = {
        target: tuple(
            FieldRule(target=target, selector=selector, data_class="public", action="keep") for selector in ("", "/**")
        )
        for target in _TARGETS
    }
    keep = tuple(rule for of_target in rules.values() for rule in of_target)
    contracts = {tool: ToolContract(name=tool, data=DataHandling(rules=keep))} if tool else {}
    return Redactor(
        Policy(
            contracts=contracts,
            digester=_Writers(key_id),
            safe_keys=safe_keys,
            safe_names=safe_names,
            user_id="keep",
            result=rules["input"],
        )
    )
