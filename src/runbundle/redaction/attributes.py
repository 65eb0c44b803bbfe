"""Attributes, redacted in one loop: the plan says how each key is handled, and one table names the function."""

from collections.abc import Callable, Mapping
from typing import Any

from runbundle.redaction import views
from runbundle.redaction.captured import parse_capture
from runbundle.redaction.contents import (
    capture_with_keyed_digests,
    content_marker,
    error_text,
    messages_marker,
    stack_frames,
)
from runbundle.redaction.detectors.credential_words import credential_key, is_credential
from runbundle.redaction.markers import SMALL, canonical, coarse_size, is_digest, is_marker, marker
from runbundle.redaction.messages import messages_text, parse_messages
from runbundle.redaction.permitted.kept_text import is_known_number
from runbundle.redaction.permitted.values import allowed, is_flag, opaque
from runbundle.redaction.plan import Handling, Tenant, Work
from runbundle.redaction.receipt import withhold
from runbundle.signals import own
from runbundle.signals.records import Attributes

_LONG_NUMBER = 10_000_000
"""A number below it is no known secret."""
_HIDDEN_KEYS = 2048
"""Remembered of each tenant."""


def redact_attributes(raw: Mapping[str, Any], work: Work, path: str) -> Attributes:
    """Return the attributes that may be kept. Idempotent; the input is not modified.

    `path` is the place of the attributes in the record, for the receipt. Views of payloads are only collected in
    `work.views`; `views.write_views` writes them when all payloads of the record were seen.
    """
    kept: Attributes = {}
    keys = work.plan.keys
    about: dict[str, Any] | None = None
    said = parse_capture(raw[own.CAPTURE]) if own.CAPTURE in raw else None
    if work.said is not said:
        work = work._replace(said=said)
    for key, value in raw.items():
        handling = keys.get(key)
        if handling == "name" or handling == "id":
            if allowed(handling, key, value) or is_marker(value):
                kept[key] = value
            else:
                kept[key] = content_marker(key, value, work, path)
        elif handling is None:
            _undeclared(kept, key, value, work, path)
        elif handling == "messages":
            kept[key], of_each = messages_marker(key, value, work, path)
            if of_each is not None:
                about = {**(about or {}), key: of_each}
        else:
            _HANDLERS[handling](kept, key, value, work, path)
    if about is not None:
        before = parse_messages(kept[own.MESSAGES]) if own.MESSAGES in kept else None
        kept[own.MESSAGES] = messages_text({**before, **about} if before else about)
    if said is not None:
        kept[own.CAPTURE] = capture_with_keyed_digests(said, work)
    stamp = work.plan.stamps.get(work.tool)
    if stamp is not None:
        kept.update(stamp)  # last, so that nothing a span says of its contract stands against the contract itself
    return kept


def _content(kept: Attributes, key: str, value: Any, work: Work, path: str) -> None:
    kept[key] = content_marker(key, value, work, path)


def _number(kept: Attributes, key: str, value: Any, work: Work, path: str) -> None:
    if value.__class__ not in (int, float, bool):
        kept[key] = content_marker(key, value, work, path)
    elif (value >= _LONG_NUMBER or value <= -_LONG_NUMBER) and is_known_number(value):
        kept[key] = withhold(work.receipt, f"{path}.{key}", "detector:known-secret", "credential")
    else:
        kept[key] = value


def _own(kept: Attributes, key: str, value: Any, work: Work, path: str) -> None:
    if allowed("own", key, value):
        kept[key] = coarse_size(value) if value.__class__ is int and value < SMALL else value
    else:
        work.receipt.add(f"{path}.{key}", "malformed", "drop")


def _flag(kept: Attributes, key: str, value: Any, work: Work, path: str) -> None:
    kept[key] = value if is_flag(value) else content_marker(key, value, work, path)


def _error(kept: Attributes, key: str, value: Any, work: Work, path: str) -> None:
    kept[key] = error_text(value, work, f"{path}.{key}")


def _stack(kept: Attributes, key: str, value: Any, work: Work, path: str) -> None:
    kept[key] = stack_frames(value, work, f"{path}.{key}")


def _user(kept: Attributes, key: str, value: Any, work: Work, path: str) -> None:
    """Keep a user id, hash it or drop it, as the policy says."""
    action = work.plan.user_id
    if is_digest(value) or (action == "keep" and allowed("id", key, value)):
        kept[key] = value
    else:
        work.receipt.add(f"{path}.{key}", "user_id", "drop" if action == "drop" else "hash")
        data = canonical(value)
        if action != "drop" and data is not None:
            kept[key] = work.tenant.digest("user", data)


def _free_id(kept: Attributes, key: str, value: Any, work: Work, path: str) -> None:
    """Keep the id of a session, a request or a case if it is opaque; digest one that may name a person."""
    if is_digest(value) or opaque(key, value):
        kept[key] = value
    else:
        work.receipt.add(f"{path}.{key}", "free_id", "hash")
        data = canonical(value)
        if data is not None:
            kept[key] = work.tenant.digest(key, data)


_HANDLERS: dict[Handling, Callable[[Attributes, str, Any, Work, str], None]] = {
    "number": _number,
    "content": _content,
    "own": _own,
    "flag": _flag,
    "arguments": views.put_arguments,
    "result": views.put_result,
    "outcome": views.put_outcome,
    "config": views.put_configuration,
    "error": _error,
    "stack": _stack,
    "user": _user,
    "free_id": _free_id,
}
"""Names and ids, of which there are most, and messages, which are described together, are handled in the loop."""


def _undeclared(kept: Attributes, key: str, value: Any, work: Work, path: str) -> None:
    """Replace a key that nobody declared, and its value: either may be the secret."""
    if work.plan.safe_key is not None and work.plan.safe_key(key) and _may_be_kept(key, value):
        kept[key] = value
        return
    if key.startswith(own.HIDDEN) and is_marker(value) and len(key) == 31:
        kept[key] = value
        return
    tenant = work.tenant
    hidden = hidden_key_of(key, tenant)
    if is_marker(value) and credential_key(key) != "strong":
        kept[hidden] = value  # it says what became of the value: a digest of it would be one of nothing
        return
    if is_credential(key, value):
        kept[hidden] = withhold(work.receipt, f"{path}.{hidden}", "undeclared", "credential")
        return
    work.receipt.add(f"{path}.{hidden}", "undeclared", "digest")
    data = canonical(value)
    digest, size = ("", None) if data is None else (tenant.digest("attribute", data), len(data))
    kept[hidden] = marker("undeclared", digest=digest, size=size)


def hidden_key_of(key: str, tenant: Tenant) -> str:
    """Return the key that stands in the place of one that nobody declared."""
    hidden = tenant.hidden_keys.get(key)
    if hidden is None:
        digest = tenant.digest("key", key.encode("utf-8", "replace"))
        if len(tenant.hidden_keys) >= _HIDDEN_KEYS:
            tenant.hidden_keys.clear()
        hidden = tenant.hidden_keys[key] = own.HIDDEN + digest[12:24]
    return hidden


def _may_be_kept(key: str, value: Any) -> bool:
    return is_marker(value) or (allowed("name", key, value) and not is_credential(key, value))
