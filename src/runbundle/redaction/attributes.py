"""What becomes of one value: content, a payload, an error's text, a user id, a configuration."""

import re
from collections.abc import Mapping
from typing import Any, NamedTuple, cast

import orjson

from runbundle.format.contract import DataHandling, ToolContract
from runbundle.redaction.captured import DIGESTED, Said, capture_text
from runbundle.redaction.markers import Digester, canonical, is_digest, is_marker, marker, marker_roles, told_size
from runbundle.redaction.messages import described, roles_of
from runbundle.redaction.payloads.configuration import redact_configuration
from runbundle.redaction.payloads.payload import PayloadRules, compile_payload_rules, redact_payload
from runbundle.redaction.payloads.taint import Table, scrub
from runbundle.redaction.permitted.values import allowed
from runbundle.redaction.policy import Policy
from runbundle.redaction.receipt import Receipt
from runbundle.redaction.shrink import shrink
from runbundle.redaction.traces_and_roles import message_roles, reduce_stacktrace
from runbundle.signals.keys import SPAN_KEYS
from runbundle.signals.records import Attributes, ResourceRecord, ScopeRecord

MAX_PAYLOAD_BYTES = 262_144
"""Of a tool payload above this size the largest parts become markers before it is looked at."""
MAX_OPENED_BYTES = 1_048_576
"""A text above this size is not opened: it leaves a marker with digest and size."""

# A telephone number, or so many digits that they may be one, or a card's: channels make session ids of these.
_NAMES_A_PERSON = re.compile(r"\+\d{6}|(?<!\d)\d{9,19}(?![\d.])")


class Tenant:
    """What depends on the key of one tenant: its digester, and what was worked out with it."""

    __slots__ = ("digest", "hidden_keys", "resources", "scopes")

    def __init__(self, digest: Digester) -> None:
        self.digest = digest
        self.hidden_keys: dict[str, str] = {}
        # By identity, with the object itself so that its id cannot be reused: a process has a handful of each, and the
        # edges hand the same object for every span.
        self.scopes: dict[int, tuple[ScopeRecord, ScopeRecord]] = {}
        self.resources: dict[int, tuple[ResourceRecord, ResourceRecord]] = {}


class Work(NamedTuple):
    """What is at hand while one record is redacted."""

    receipt: Receipt
    tool: str
    """The record's tool, or ""."""
    taint: Table
    """What was withheld in the record's run so far."""
    tenant: Tenant
    views: list[tuple[Attributes, str, str, Any]]
    """Where to write which attribute, its path and its view: they wait until all of the record's payloads were seen."""
    said: Mapping[str, Said] | None = None
    """What became of the values of the attributes at hand, where that is not `whole`."""


class Values:
    """Applies one policy to single values. Holds compiled rules and no state."""

    def __init__(self, policy: Policy) -> None:
        self._policy = policy
        self._rules: dict[tuple[str, str], PayloadRules] = {
            (name, target): compile_payload_rules(contract, target)
            for name, contract in policy.contracts.items()
            for target in ("input", "output", "error")
        }
        self._result_rules = compile_payload_rules(
            ToolContract(name="result", data=DataHandling(rules=policy.result)), "input"
        )

    def content(self, key: str, value: Any, work: Work, path: str, *, roles: tuple[str, ...] = ()) -> str:
        """Free text: digest and size of the whole, as far as that was seen."""
        said = work.said.get(key) if work.said else None
        if is_marker(value) and not (said and said.sha256):
            return value
        work.receipt.add(f"{path}.{key}" if path else key, "content", "digest")
        digest, size = _whole(work.tenant.digest, "content", value, said)
        return marker("oversize" if is_marker(value) else "content", digest=digest, size=size, roles=roles)

    def messages(self, key: str, value: Any, work: Work, path: str) -> tuple[str, dict[str, Any] | None]:
        """Messages: as content, with their roles, and what is said of each where all of them are here."""
        if is_marker(value):
            return self.content(key, value, work, path, roles=marker_roles(value)), None
        text = value if isinstance(value, str) else (canonical(value) or b"").decode("utf-8", "replace")
        said = work.said.get(key) if work.said else None
        about = None
        if len(text) <= MAX_PAYLOAD_BYTES and (said is None or said.word in ("whole", "abandoned")):
            about = described(text, work.tenant.digest)
        roles = (roles_of(about) if about is not None else ()) or message_roles(text)
        return self.content(key, value, work, path, roles=roles), about

    def keyed(self, said: Mapping[str, Said], work: Work) -> str:
        """Return the attribute `runbundle.capture` with keyed digests in the place of plain ones."""
        found: dict[str, Said] = {}
        for key, one in said.items():
            kind = SPAN_KEYS.get(key)
            domain = _payload_domain(work.tool, kind) if kind in ("arguments", "result") else "content"
            digest, _ = _whole(work.tenant.digest, domain, "", one) if one.sha256 else (one.digest, one.size)
            size = one.size if one.size is None else told_size(one.size)
            found[key] = one._replace(sha256="", digest=digest, size=size)
        return capture_text(found)

    def message(self, value: Any, work: Work, path: str) -> str:
        """An error's text: a marker, or what the tool's contract says of its errors."""
        if value == "" or is_marker(value):
            return cast("str", value)
        rules = self._rules.get((work.tool, "error"))
        if rules is not None and isinstance(value, str) and rules.decides:
            kept = redact_payload(value, rules, work.tenant.digest, work.receipt, path, work.taint)
            kept = scrub(kept, work.taint, work.receipt, path)
            return kept if isinstance(kept, str) else marker("error")
        work.receipt.add(path, "error", "digest")
        digest, size = _whole(work.tenant.digest, "error", value, None)
        return marker("error", digest=digest, size=size)

    def user(self, kept: Attributes, key: str, value: Any, work: Work, path: str) -> None:
        """A user id: kept, hashed or dropped, as the policy says."""
        action = self._policy.user_id
        if is_digest(value) or (action == "keep" and allowed("id", key, value)):
            kept[key] = value
        else:
            work.receipt.add(f"{path}.{key}", "user_id", "drop" if action == "drop" else "hash")
            data = canonical(value)
            if action != "drop" and data is not None:
                kept[key] = work.tenant.digest("user", data)

    def free_id(self, kept: Attributes, key: str, value: Any, work: Work, path: str) -> None:
        """The id of a session, a request or a case: kept if it is opaque, digested if it may name a person."""
        if is_digest(value) or (allowed("id", key, value) and not _NAMES_A_PERSON.search(str(value))):
            kept[key] = value
        else:
            work.receipt.add(f"{path}.{key}", "free_id", "hash")
            data = canonical(value)
            if data is not None:
                kept[key] = work.tenant.digest(key, data)

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
            return self.content("runbundle.config", value, work, "attributes")
        return orjson.dumps(redact_configuration(data, work.receipt), option=orjson.OPT_SORT_KEYS).decode()

    def result(self, kept: Attributes, key: str, value: Any, work: Work) -> None:
        """A run's result, under the policy's rules for it."""
        view: Any = value
        if not is_marker(value):
            view = redact_payload(
                _parsed(value), self._result_rules, work.tenant.digest, work.receipt, "result", work.taint
            )
        work.views.append((kept, key, "result", view))

    def payload(self, kept: Attributes, kind: str, value: Any, work: Work) -> None:
        """A tool's arguments or result: a digest and a size always, a view if the tool has a contract."""
        key = "gen_ai.tool.call.arguments" if kind == "arguments" else "gen_ai.tool.call.result"
        said = work.said.get(key) if work.said else None
        if is_marker(value) and not (said and said.sha256):
            kept[key] = value
            return
        rules = self._rules.get((work.tool, "input" if kind == "arguments" else "output"))
        data = value if isinstance(value, str | bytes) and len(value) > MAX_OPENED_BYTES else _parsed(value)
        digest, size = _of_payload(kept, kind, data, work, said)
        if rules is None:
            work.receipt.add(kind, "no-contract", "digest")
            kept[key] = marker("undeclared", digest=digest, size=size)
            return
        if size is None or size > MAX_PAYLOAD_BYTES:
            small = shrink(data, MAX_PAYLOAD_BYTES) if isinstance(value, str | bytes) and data is not value else None
            if small is None or is_marker(small):
                work.receipt.add(kind, "oversize", "digest")
                kept[key] = marker("oversize", digest=digest, size=size)
                return
            if small is not data:
                work.receipt.add(kind, "oversize", "shorten")
            data = small
        view = redact_payload(data, rules, work.tenant.digest, work.receipt, kind, work.taint)
        work.views.append((kept, key, kind, view))

    def finish(self, work: Work) -> None:
        """Write the views, now that all the record's payloads were seen and what they withheld is known."""
        for kept, key, path, view in work.views:
            clean = scrub(view, work.taint, work.receipt, path)
            kept[key] = clean if is_marker(clean) else orjson.dumps(clean, option=orjson.OPT_SORT_KEYS).decode()


def _payload_domain(tool: str, kind: str) -> str:
    return f"tool|{tool}|{kind}"


def _of_payload(kept: Attributes, kind: str, data: Any, work: Work, said: Said | None) -> tuple[str, int | None]:
    """Return digest and size of a payload, and put them into the attributes; none is there for what has none."""
    names = f"runbundle.tool.{kind}.digest", f"runbundle.tool.{kind}.bytes"
    if said is not None and said.word not in DIGESTED:
        for name in names:
            kept.pop(name, None)
        return "", None
    if names[0] not in kept:
        digest, size = _whole(work.tenant.digest, _payload_domain(work.tool, kind), data, said)
        if not digest:
            return "", None
        kept[names[0]], kept[names[1]] = digest, size if size is None else told_size(size)
    return kept[names[0]], kept.get(names[1])


def _whole(digest: Digester, domain: str, value: Any, said: Said | None) -> tuple[str, int | None]:
    """Return digest and size of what a value is whole; neither where that was not seen."""
    if said is not None and said.sha256:
        return digest(domain, b"sha256:" + said.sha256.encode()), said.size
    data = canonical(value) if said is None or said.word in DIGESTED else None
    return ("", None) if data is None else (digest(domain, data), len(data))


def _parsed(value: Any) -> Any:
    if isinstance(value, str | bytes):
        try:
            return orjson.loads(value)
        except (orjson.JSONDecodeError, UnicodeEncodeError):
            return value
    return value
