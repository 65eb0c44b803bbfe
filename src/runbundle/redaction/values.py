"""What becomes of one value: content, a payload, an error's text, a user id, a configuration."""

import re
from typing import Any, NamedTuple, cast

import orjson

from runbundle.models.contract import DataHandling, ToolContract
from runbundle.models.records import Attributes
from runbundle.redaction.configuration import redact_configuration
from runbundle.redaction.markers import canonical, is_digest, is_marker, marker
from runbundle.redaction.payload import PayloadRules, compile_payload_rules, redact_payload
from runbundle.redaction.policy import Policy
from runbundle.redaction.receipt import Receipt
from runbundle.redaction.shapes import allowed
from runbundle.redaction.taint import Table, scrub
from runbundle.redaction.text import message_roles, reduce_stacktrace

MAX_PAYLOAD_BYTES = 262_144
"""A tool payload above this size is not opened: it leaves a marker with digest and size."""

# A telephone number, or so many digits that they may be one, or a card's: channels make session ids of these.
_NAMES_A_PERSON = re.compile(r"\+\d{6}|(?<!\d)\d{9,19}(?![\d.])")


class Work(NamedTuple):
    """What is at hand while one record is redacted."""

    receipt: Receipt
    tool: str
    """The record's tool, or ""."""
    taint: Table
    """What was withheld in the record's run so far."""
    views: list[tuple[Attributes, str, str, Any]]
    """Where to write which attribute, its path and its view: they wait until all of the record's payloads were seen."""


class Values:
    """Applies one policy to single values. Holds compiled rules and no state."""

    def __init__(self, policy: Policy) -> None:
        self._policy = policy
        self._digest = policy.digester
        self._rules: dict[tuple[str, str], PayloadRules] = {
            (name, target): compile_payload_rules(contract, target)
            for name, contract in policy.contracts.items()
            for target in ("input", "output", "error")
        }
        self._result_rules = compile_payload_rules(
            ToolContract(name="result", data=DataHandling(rules=policy.result)), "input"
        )

    def content(self, value: Any, work: Work, path: str, *, messages: bool = False) -> str:
        """Free text: digest, size, and the roles of messages."""
        if is_marker(value):
            return value
        work.receipt.add(path, "content", "digest")
        data = canonical(value)
        roles: tuple[str, ...] = ()
        if messages:
            roles = message_roles(value if isinstance(value, str) else data.decode("utf-8", "replace"))
        return marker("content", digest=self._digest("content", data), size=len(data), roles=roles)

    def message(self, value: Any, work: Work, path: str) -> str:
        """An error's text: a marker, or what the tool's contract says of its errors."""
        if value == "" or is_marker(value):
            return cast("str", value)
        rules = self._rules.get((work.tool, "error"))
        if rules is not None and isinstance(value, str) and rules.decides:
            kept = redact_payload(value, rules, self._digest, work.receipt, path, work.taint)
            kept = scrub(kept, work.taint, work.receipt, path)
            return kept if isinstance(kept, str) else marker("error")
        work.receipt.add(path, "error", "digest")
        data = canonical(value)
        return marker("error", digest=self._digest("error", data), size=len(data))

    def user(self, kept: Attributes, key: str, value: Any, work: Work, path: str) -> None:
        """A user id: kept, hashed or dropped, as the policy says."""
        action = self._policy.user_id
        if is_digest(value) or (action == "keep" and allowed("id", key, value)):
            kept[key] = value
        else:
            work.receipt.add(f"{path}.{key}", "user_id", "drop" if action == "drop" else "hash")
            if action != "drop":
                kept[key] = self._digest("user", canonical(value))

    def free_id(self, kept: Attributes, key: str, value: Any, work: Work, path: str) -> None:
        """The id of a session, a request or a case: kept if it is opaque, digested if it may name a person."""
        if is_digest(value) or (allowed("id", key, value) and not _NAMES_A_PERSON.search(str(value))):
            kept[key] = value
        else:
            work.receipt.add(f"{path}.{key}", "free_id", "hash")
            kept[key] = self._digest(key, canonical(value))

    def stack(self, value: Any, work: Work, path: str) -> str:
        """A stack trace: its frames."""
        if is_marker(value):
            return value
        reduced = reduce_stacktrace(value) if isinstance(value, str) else ""
        if reduced != value:
            work.receipt.add(path, "stacktrace", "shorten")
        return reduced or marker("error")

    def config(self, value: Any, work: Work) -> Any:
        """A run's configuration, without its secrets."""
        if is_marker(value):
            return value
        try:
            data = orjson.loads(value) if isinstance(value, str | bytes) else value
        except orjson.JSONDecodeError:
            return self.content(value, work, "attributes.runbundle.config")
        return orjson.dumps(redact_configuration(data, work.receipt), option=orjson.OPT_SORT_KEYS).decode()

    def result(self, kept: Attributes, key: str, value: Any, work: Work) -> None:
        """A run's result, under the policy's rules for it."""
        view: Any = value
        if not is_marker(value):
            view = redact_payload(_parsed(value), self._result_rules, self._digest, work.receipt, "result", work.taint)
        work.views.append((kept, key, "result", view))

    def payload(self, kept: Attributes, kind: str, value: Any, work: Work) -> None:
        """A tool's arguments or result: a digest and a size always, a view if the tool has a contract."""
        key = "gen_ai.tool.call.arguments" if kind == "arguments" else "gen_ai.tool.call.result"
        prefix = f"runbundle.tool.{kind}"
        if is_marker(value):
            kept[key] = value
            return
        rules = self._rules.get((work.tool, "input" if kind == "arguments" else "output"))
        size = len(value) if isinstance(value, str | bytes) else 0
        data = value if size > MAX_PAYLOAD_BYTES else _parsed(value)
        raw = canonical(data)
        if f"{prefix}.digest" not in kept:
            kept[f"{prefix}.digest"] = self._digest(f"tool|{work.tool}|{kind}", raw)
            kept[f"{prefix}.bytes"] = len(raw)
        if rules is None:
            work.receipt.add(kind, "no-contract", "digest")
            kept[key] = marker("undeclared", digest=kept[f"{prefix}.digest"], size=len(raw))
        elif len(raw) > MAX_PAYLOAD_BYTES:
            work.receipt.add(kind, "oversize", "digest")
            kept[key] = marker("oversize", digest=kept[f"{prefix}.digest"], size=len(raw))
        else:
            view = redact_payload(data, rules, self._digest, work.receipt, kind, work.taint)
            work.views.append((kept, key, kind, view))

    def finish(self, work: Work) -> None:
        """Write the views, now that all the record's payloads were seen and what they withheld is known."""
        for kept, key, path, view in work.views:
            clean = scrub(view, work.taint, work.receipt, path)
            kept[key] = clean if is_marker(clean) else orjson.dumps(clean, option=orjson.OPT_SORT_KEYS).decode()


def _parsed(value: Any) -> Any:
    if isinstance(value, str | bytes):
        try:
            return orjson.loads(value)
        except (orjson.JSONDecodeError, UnicodeEncodeError):
            return value
    return value
