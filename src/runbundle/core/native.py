"""The native core, from the package `runbundle-native`: whether it is there, and how it is told what a redactor does.

It redacts and encodes ended spans as Python does, to the byte, or leaves them to Python. It decides nothing: it has the
plan as plain data, and functions of this package that judge what may be kept. It remembers what they answered until a
secret is learned; other contracts make another core. Nothing fails where it is missing.
"""

import importlib
from collections.abc import Callable
from functools import cache
from typing import Any, Protocol

import orjson

from runbundle import settings
from runbundle.errors import ConfigError
from runbundle.redaction.attributes import hidden_key_of, redact_attributes
from runbundle.redaction.contents import MAX_DESCRIBED_BYTES
from runbundle.redaction.detectors.credential_words import credential_key
from runbundle.redaction.detectors.known_secrets import KNOWN
from runbundle.redaction.markers import CLASSES, ROLES, Digester
from runbundle.redaction.messages import ID_KEYS, PAYLOADS, TYPES
from runbundle.redaction.origins import redacted_scope
from runbundle.redaction.payloads.bare_arguments import remember_calls
from runbundle.redaction.payloads.opened_text import PLAIN, opened
from runbundle.redaction.payloads.payload import PayloadRules, cuts_number
from runbundle.redaction.payloads.selectors import Node
from runbundle.redaction.payloads.taint import OPENED, VALUES, TaintTable, is_name_key
from runbundle.redaction.permitted import labelled
from runbundle.redaction.permitted.kept_text import credential_in_key, is_known_number, redact_text, surely_stay
from runbundle.redaction.permitted.names import BLANKS, CHARS, LONGER
from runbundle.redaction.permitted.safe_text import judged_identifier, safe_name
from runbundle.redaction.permitted.values import kept_trace_state, names_run
from runbundle.redaction.plan import Handling, Work
from runbundle.redaction.receipt import Receipt
from runbundle.redaction.redactor import Redactor
from runbundle.redaction.views import MAX_PAYLOAD_BYTES
from runbundle.signals import own, semconv
from runbundle.signals.keys import NAMES_RUNS
from runbundle.signals.names import NAME_KEYS

VERSION = "0.4.3"
"""The version of `runbundle-native` that this package works with."""
_ID_CHARS = 256
_TOGETHER_CHARS = 1024
"""Longer texts are judged alone. Nearly each has a path or an id in it, for which it would be looked at twice: of 1 MB
that takes 50 ms instead of 13."""


class NativeCore(Protocol):
    """What the wheel's `Core` has."""

    def span_line(self, record: Any, resource: int) -> bytes | None:
        """Return the line of a span whose record is in our terms; None if Python has to make it."""
        ...

    def span_begun(self, record: Any) -> tuple[bytes, bytes] | None:
        """Return the redacted name and attributes of a span that has begun, as JSON; None if Python has to do it."""
        ...


@cache
def module() -> Any:
    """Return the native module; None if it is switched off, missing or of another version. Asked for once. Total."""
    try:
        if settings.variable("RUNBUNDLE_NATIVE").lower() in settings.NO:
            return None
    except ConfigError:  # it says neither yes nor no; a value or a span that asks for the core is not lost by that
        return None
    try:
        native = importlib.import_module("runbundle_native")
    except Exception:  # noqa: BLE001 - not installed, or not for this machine: Python does its work
        return None
    if native.__version__ != VERSION:
        return None
    KNOWN.on_change(native.forget_judgements)
    return native


def core_of(redactor: Redactor) -> NativeCore | None:
    """Return the native core for the present plan of a redactor; None if there is none, or not for its digests."""
    native = module()
    if native is None or type(redactor.policy.digester) is not Digester:
        return None
    return native.Core(_plan(redactor), _functions(redactor))


# -- the plan as plain data --------------------------------------------------------------------------------------------

_LEFT_TO_PYTHON = frozenset(
    {
        own.RECEIPT, own.CAPTURE, own.MESSAGES, own.NAME_DIGEST, own.COERCED,
        *own.PAYLOAD_DIGEST.values(), *own.PAYLOAD_BYTES.values(),
    }
)  # fmt: skip
"""Keys that were written by a redactor, or that say what a boundary had to change: such records are few."""
_KNOWN = frozenset({"name", "id", "number", "content", "messages", "arguments", "result", "outcome", "config", "error"})
"""The kinds that the native core knows; of an attribute that is handled otherwise it asks Python."""


def _plan(redactor: Redactor) -> dict[str, Any]:
    plan = redactor.plan
    by_target: dict[str, dict[str, Any]] = {"input": {}, "output": {}, "error": {}}
    for (tool, target), rules in plan.payloads.items():
        by_target[target][tool] = _rules(rules)
    return {
        "keys": {key: _key(key, handling) for key, handling in plan.keys.items()},
        "inputs": by_target["input"],
        "outputs": by_target["output"],
        "errors": by_target["error"],
        "outcome": _rules(plan.result),
        "stamps": {tool: list(stamp.items()) for tool, stamp in plan.stamps.items()},
        "has_safe_keys": plan.safe_key is not None,
        "arguments": payload("arguments", semconv.ARGUMENTS),
        "results": payload("result", semconv.RESULT),
        "tool_name": semconv.TOOL_NAME,
        "output_messages": semconv.OUTPUT_MESSAGES,
        "dialect": own.DIALECT,
        "messages": own.MESSAGES,
        "receipt": own.RECEIPT,
        "hidden": own.HIDDEN,
        "blanks": BLANKS,
        "own_words": [CLASSES, ROLES],
        "label_names": sorted(labelled.NAMES),
        "label_values": sorted(labelled.VALUES),
        "id_keys": sorted(ID_KEYS),
        "payload_keys": sorted(PAYLOADS),
        "roles": ROLES.split("|"),
        "role_types": TYPES,
        "max_payload_bytes": MAX_PAYLOAD_BYTES,
        "max_described": MAX_DESCRIBED_BYTES,
        "table_values": VALUES,
        "table_opened": OPENED,
    }


def _key(key: str, handling: Handling) -> dict[str, Any]:
    """Return how a key is handled, the most characters of its names, and whether a span's name may follow from it."""
    word: str = handling if handling in _KNOWN else "asked"
    if key in _LEFT_TO_PYTHON or (key in NAME_KEYS and handling != "name"):
        word = "python"
    elif key in NAMES_RUNS:
        word = "run"
    elif key == own.CLAIMED_RUN_ID:
        word = "asked"  # judged by more than its shape
    elif key == own.EFFECT:
        word = "effect"
    chars = _ID_CHARS if handling == "id" else LONGER.get(key, CHARS)
    return {"handling": word, "chars": chars, "in_name": key in NAME_KEYS}


def payload(kind: str, key: str) -> dict[str, str]:
    """Return how a payload is called, and the keys that it has."""
    return {"kind": kind, "key": key, "digest_key": own.PAYLOAD_DIGEST[kind], "bytes_key": own.PAYLOAD_BYTES[kind]}


def _rules(rules: PayloadRules) -> dict[str, Any]:
    nodes: list[Node] = []
    pending = list(rules.root)
    while pending:
        node = pending.pop()
        if node not in nodes:
            nodes.append(node)
            pending += [*node.children.values(), *(one for one in (node.star, node.deep) if one is not None)]
    place = {id(node): number for number, node in enumerate(nodes)}
    return {
        "tool": rules.tool,
        "nodes": [_node(node, place) for node in nodes],
        "root": [place[id(node)] for node in rules.root],
        "undeclared": rules.undeclared,
        "scalars": rules.scalars,
        "known_keys": set(rules.known_keys),
        "decides": rules.decides,
        "undeclared_note": rules.undeclared_note,
        "masks_undeclared": rules.masks_undeclared,
    }


def _node(node: Node, place: dict[int, int]) -> dict[str, Any]:
    return {
        "children": {step: place[id(child)] for step, child in node.children.items()},
        "star": None if node.star is None else place[id(node.star)],
        "deep": None if node.deep is None else place[id(node.deep)],
        "loops": node.loops,
        "rule": None if node.rule is None else node.rule._asdict(),
        "rank": node.rank,
    }


# -- the functions that judge ------------------------------------------------------------------------------------------


def _functions(redactor: Redactor) -> dict[str, Callable[..., Any]]:
    plan = redactor.plan

    def work_of(tenant_id: str, receipt: Receipt) -> Work:
        return Work(plan, receipt, "", TaintTable(), redactor.tenant(tenant_id), [])

    def attribute(tenant_id: str, key: str, value: Any) -> dict[str, Any]:
        receipt = Receipt()
        work = work_of(tenant_id, receipt)
        kept = redact_attributes({key: value}, work, "attributes")
        if work.views:
            raise ValueError("a payload depends on more than itself")
        return _piece(orjson.dumps(kept)[1:-1], receipt)

    def span_name(tenant_id: str, name: str, named: bytes) -> dict[str, Any]:
        receipt, parts = Receipt(), named.decode().split("\0")
        work = work_of(tenant_id, receipt)
        shown = redactor.span_name(name, dict(zip(parts[::2], parts[1::2], strict=False)), work)
        more = b""
        if shown != name and "[REDACTED:" not in shown:
            digest = work.tenant.digest("name", name.encode("utf-8", "replace"))
            more = orjson.dumps({own.NAME_DIGEST: digest})[1:-1]
        return _piece(orjson.dumps(shown), receipt, more)

    def event_name(tenant_id: str, name: str) -> dict[str, Any]:
        receipt = Receipt()
        shown = redactor.event_name(name, "name", work_of(tenant_id, receipt))
        return _piece(orjson.dumps(shown), receipt)

    def hidden_key(tenant_id: str, key: str) -> dict[str, Any]:
        hidden = hidden_key_of(key, redactor.tenant(tenant_id))
        return _piece(hidden.encode(), Receipt(), credential_key(key).encode())

    def scope(tenant_id: str, given: Any) -> dict[str, Any]:
        redacted = redacted_scope(given, redactor.tenant(tenant_id), plan)
        return _piece(orjson.dumps(redacted), Receipt(), held=given)

    limits = [rules.shortest for rules in (*plan.payloads.values(), plan.result) if rules.shortest is not None]

    def known_number(value: float) -> bool:
        # Python cuts it, where a rule does.
        return is_known_number(value) or any(cuts_number(value, limit) for limit in limits)

    def tenant(tenant_id: str) -> tuple[bytes, str]:
        digest = redactor.tenant(tenant_id).digest
        return digest.key(), digest.key_id

    return {
        # Asked for yes or no, of a text.
        "name": safe_name,
        "id": judged_identifier,
        "in_key": credential_in_key,
        "credential": _may_be_of_credential,
        "name_key": is_name_key,
        "names_run": names_run,
        # Asked for yes or no, of each of several texts.
        "stay": _stay,
        # Asked for a part of a line.
        "attribute": attribute,
        "span_name": span_name,
        "event_name": event_name,
        "hidden_key": hidden_key,
        "scope": scope,
        "trace_state": _trace_state,
        # Asked each time.
        "tenant": tenant,
        "table": redactor.taint_table,
        "remember_calls": remember_calls,
        "known_number": known_number,
    }


def _piece(json: bytes, receipt: Receipt, more: bytes = b"", held: Any = None) -> dict[str, Any]:
    return {"json": json, "more": more, "notes": receipt.each(), "_held": held}


def _may_be_of_credential(key: str) -> bool:
    return credential_key(key) != ""


def _stay(texts: list[str]) -> list[bool]:
    together = surely_stay([text for text in texts if len(text) <= _TOGETHER_CHARS])
    # What seems to be an object or a list may have to be opened: by Python.
    return [
        opened(text) is PLAIN
        and ((together and len(text) <= _TOGETHER_CHARS) or redact_text(text, Receipt(), "") == text)
        for text in texts
    ]


def _trace_state(text: str) -> dict[str, Any]:
    receipt, kept = Receipt(), kept_trace_state(text)
    if kept != text:
        receipt.add("trace_state", "undeclared", "drop")
    return _piece(orjson.dumps(kept), receipt)
