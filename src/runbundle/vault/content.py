"""The content of a span that debug mode keeps, for the vault and for nothing else.

Prompts, outputs and payloads are kept as they were. Four things are masked here too: known secrets, credentials in
vendors' formats, fields that a contract calls a credential, and values under a key that names one.
"""

from __future__ import annotations

from collections.abc import Container, Mapping
from typing import TYPE_CHECKING, Any, cast

import orjson

from runbundle.redaction.detectors.credential_words import is_credential
from runbundle.redaction.detectors.detector import format_detector
from runbundle.redaction.markers import marker
from runbundle.redaction.payloads.payload import PayloadRules, compile_payload_rules, redact_payload
from runbundle.redaction.permitted.labelled import mask_labelled
from runbundle.redaction.policy import Policy
from runbundle.redaction.receipt import Receipt
from runbundle.signals import semconv
from runbundle.signals.keys import SPAN_KEYS
from runbundle.signals.reading import value_of
from runbundle.signals.records import SpanRecord

if TYPE_CHECKING:
    from runbundle.format.contract import ToolContract

_TARGETS = {"arguments": "input", "result": "output"}
_DEPTH = 64
_OPENING = ("{", "[", b"{", b"[")


class DebugContent:
    """Applies the credential rules of a policy, and the detectors of known values and vendors' formats."""

    def __init__(self, policy: Policy) -> None:
        self._digest = policy.digester
        self._rules: dict[tuple[str, str], PayloadRules] = {
            (name, kind): compile_payload_rules(_credentials_only(contract), target)  # pyright: ignore[reportArgumentType]
            for name, contract in policy.contracts.items()
            for kind, target in _TARGETS.items()
        }

    def of(self, record: SpanRecord) -> dict[str, Any]:
        """Return a raw span's content as JSON values, without credentials. The input is not modified."""
        tool = str(record["attributes"].get(semconv.TOOL_NAME, ""))
        return {
            "trace_id": record["trace_id"],
            "span_id": record["span_id"],
            "name": _clean(record["name"]),
            "status_message": _clean(record["status_message"]),
            "attributes": self._attributes(record["attributes"], tool),
            "events": [
                {"name": _clean(event["name"]), "attributes": self._attributes(event["attributes"], tool)}
                for event in record["events"]
            ],
        }

    def _attributes(self, attributes: Mapping[str, Any], tool: str) -> dict[str, Any]:
        kept: dict[str, Any] = {}
        for key, given in attributes.items():
            value = _parsed(given)  # so that the keys in it are seen
            rules = self._rules.get((tool, SPAN_KEYS.get(key, "")))
            if rules is not None:
                value = redact_payload(value, rules, self._digest, Receipt(), key)
            kept[_clean_key(key, kept)] = (
                marker("credential")
                if is_credential(key, value) and key not in SPAN_KEYS
                else _clean(mask_labelled(value, Receipt(), ""))
            )
        return kept


def _credentials_only(contract: ToolContract) -> ToolContract:
    """Return the contract that keeps everything but what this one calls a credential."""
    from runbundle.format.contract import DataHandling, FieldRule, ToolContract

    rules = [rule for rule in contract.data.rules if rule.data_class == "credential"]
    whole = [FieldRule(selector="", target=target, action="keep") for target in ("input", "output")]
    return ToolContract(name=contract.name, data=DataHandling(rules=(*whole, *rules)))


def _clean(value: Any, depth: int = 0) -> Any:
    if isinstance(value, str):
        opened = _parsed(value) if depth < _DEPTH else value
        if not isinstance(opened, str):
            return _clean(opened, depth + 1)  # so that the keys in it are seen
        return _clean_text(value)
    if isinstance(value, bytes):
        return _clean(value.decode("utf-8", "replace"), depth)
    if isinstance(value, Mapping) and depth < _DEPTH:
        made: dict[str, Any] = {}
        for key, item in cast("Mapping[Any, Any]", value).items():
            made[_clean_key(str(key), made)] = _clean(item, depth + 1)
        return made
    if isinstance(value, list | tuple) and depth < _DEPTH:
        return [_clean(item, depth + 1) for item in cast("list[Any]", value)]
    if value is None or isinstance(value, bool | float) or (isinstance(value, int) and abs(value) < 2**63):
        return value
    return marker("unserialisable")


def _clean_text(text: str) -> str:
    return format_detector().redact(text.encode("utf-8", "replace").decode())


def _clean_key(key: str, beside: Container[str]) -> str:
    """Return a key without credentials that is none of those beside it: of two, both may be masked to one text."""
    name = _clean_text(key)
    while name in beside:
        name += "'"
    return name


def _parsed(value: Any) -> Any:
    try:
        return value_of(value) if isinstance(value, str | bytes) and value.lstrip()[:1] in _OPENING else value
    except (orjson.JSONDecodeError, UnicodeEncodeError):
        return value
