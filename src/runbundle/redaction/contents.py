"""Free text, and the markers in its place: prompts, outputs, messages, texts of errors, stack traces."""

from collections.abc import Mapping
from typing import Any, cast

from runbundle.redaction.captured import DIGESTED, Said, capture_text
from runbundle.redaction.markers import Digester, canonical, coarse_size, is_marker, marker, marker_roles
from runbundle.redaction.messages import describe_messages, described_roles
from runbundle.redaction.payloads.payload import redact_payload
from runbundle.redaction.payloads.taint import scrub
from runbundle.redaction.plan import Work
from runbundle.redaction.receipt import withhold
from runbundle.redaction.traces_and_roles import message_roles, reduce_stacktrace
from runbundle.signals.keys import SPAN_KEYS

MAX_DESCRIBED_BYTES = 262_144
"""Messages above this size get one digest of the whole, and none for each message."""


def content_marker(key: str, value: Any, work: Work, path: str, *, roles: tuple[str, ...] = ()) -> str:
    """Return a marker with the digest and size of a value; with neither if the whole was not captured. A marker is
    kept.
    """
    said = work.said.get(key) if work.said else None
    if is_marker(value) and not (said and said.sha256):
        return value
    digest, size = digest_of_whole(work.tenant.digest, "content", value, said)
    data_class = "oversize" if is_marker(value) else "content"
    path = f"{path}.{key}" if path else key
    return withhold(work.receipt, path, "content", data_class, action="digest", digest=digest, size=size, roles=roles)


def messages_marker(key: str, value: Any, work: Work, path: str) -> tuple[str, dict[str, Any] | None]:
    """Return a marker with the roles of the messages, and the entry of `runbundle.messages` that describes each of
    them.

    The entry is None if the messages are too large, not whole, or not readable as messages.
    """
    if is_marker(value):
        return content_marker(key, value, work, path, roles=marker_roles(value)), None
    text = value if isinstance(value, str) else (canonical(value) or b"").decode("utf-8", "replace")
    said = work.said.get(key) if work.said else None
    about = None
    if len(text) <= MAX_DESCRIBED_BYTES and (said is None or said.word in ("whole", "abandoned")):
        about = describe_messages(text, work.tenant.digest)
    roles = (described_roles(about) if about is not None else ()) or message_roles(text)
    return content_marker(key, value, work, path, roles=roles), about


def error_text(value: Any, work: Work, path: str) -> str:
    """Return a marker for an error's text, or as much of it as the tool's contract keeps."""
    if value == "" or is_marker(value):
        return cast("str", value)
    rules = work.plan.payloads.get((work.tool, "error"))
    if rules is not None and isinstance(value, str) and rules.decides:
        kept = redact_payload(value, rules, work.tenant.digest, work.receipt, path, work.taint)
        kept = scrub(kept, work.taint, work.receipt, path)
        return kept if isinstance(kept, str) else marker("error")
    digest, size = digest_of_whole(work.tenant.digest, "error", value, None)
    return withhold(work.receipt, path, "error", "error", action="digest", digest=digest, size=size)


def stack_frames(value: Any, work: Work, path: str) -> str:
    """Return the frames of a stack trace, or a marker if the text is no stack trace."""
    if is_marker(value):
        return value
    reduced = reduce_stacktrace(value) if isinstance(value, str) else ""
    if reduced != value:
        work.receipt.add(path, "stacktrace", "shorten")
    return reduced or marker("error")


def capture_with_keyed_digests(said: Mapping[str, Said], work: Work) -> str:
    """Return the attribute `runbundle.capture` with a keyed digest in the place of each SHA-256."""
    found: dict[str, Said] = {}
    for key, one in said.items():
        kind = SPAN_KEYS.get(key)
        domain = payload_domain(work.tool, kind) if kind in ("arguments", "result") else "content"
        digest, _ = digest_of_whole(work.tenant.digest, domain, "", one) if one.sha256 else (one.digest, one.size)
        size = one.size if one.size is None else coarse_size(one.size)
        found[key] = one._replace(sha256="", digest=digest, size=size)
    return capture_text(found)


def payload_domain(tool: str, kind: str) -> str:
    """Return the domain of the digests of a tool's arguments or results."""
    return f"tool|{tool}|{kind}"


def digest_of_whole(digest: Digester, domain: str, value: Any, said: Said | None) -> tuple[str, int | None]:
    """Return the digest and the size in bytes of a whole value; "" and None if the whole was not captured."""
    if said is not None and said.sha256:
        return digest(domain, b"sha256:" + said.sha256.encode()), said.size
    data = canonical(value) if said is None or said.word in DIGESTED else None
    return ("", None) if data is None else (digest(domain, data), len(data))
