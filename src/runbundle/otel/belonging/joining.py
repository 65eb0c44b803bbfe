"""Tokens: one process tells another whose run it works for, signed so that nobody else can.

A token is `v1.<base64url of JSON>.<HMAC-SHA-256, for each key>`. Its keys derive from the digest key that was given,
and from the one that this user keeps for the store: a process with either key believes it. It is the value of one
baggage entry and holds a tenant, a run and lanes: ids and names that may be kept.
"""

import base64
import binascii
import hmac
from functools import lru_cache
from typing import Any, Literal, NamedTuple, cast

import orjson

from runbundle.format.identity import valid_run_id
from runbundle.redaction.permitted.safe_text import safe_name

LIMIT = 2048
"""Characters of a token; a longer one is not read."""
Trust = Literal["signed", "any", "never"]
"""Which claims are believed: signed tokens only, plain run ids too, or none."""

_LANE_CHARS = 200
_MAC_CHARS, _KEYS = 64, 2


class Sender(NamedTuple):
    """The content of a token: whose work is handed on, and where it stands."""

    tenant_id: str
    """"" for a run without a tenant."""
    run_id: str
    lane: str = ""
    """The lane of the receiver's spans in the run; "" if the sender did not say."""
    control: str = ""
    """The lane of the receiver's task or thread; "" if it is not known."""


def token_of(keys: tuple[bytes, ...], sender: Sender) -> str:
    """Return the token that names a sender's run, signed with each of `keys`."""
    said = {"t": sender.tenant_id, "r": sender.run_id, "l": sender.lane}
    if sender.control:
        said["e"] = sender.control
    head = "v1." + base64.urlsafe_b64encode(orjson.dumps(said)).decode().rstrip("=")
    return f"{head}.{''.join(_mac(key, head) for key in keys)}"


def sender_of(keys: tuple[bytes, ...], token: str) -> Sender | None:
    """Return the content of a token; None if it is damaged or signed with none of `keys`."""
    head, dot, signed = token.rpartition(".")
    if len(token) > LIMIT or not dot or not token.isascii() or not 0 < len(signed) <= _KEYS * _MAC_CHARS:
        return None
    macs = [signed[at : at + _MAC_CHARS] for at in range(0, len(signed), _MAC_CHARS)]
    if not any(hmac.compare_digest(mac, ours) for ours in [_mac(key, head) for key in keys] for mac in macs):
        return None
    said = _said(head)
    if said is None:
        return None
    tenant, run, lane, control = (said.get(field, "") for field in "trle")
    if not all(isinstance(field, str) for field in (tenant, run, lane, control)):
        return None
    if not valid_run_id(run) or (tenant and not valid_run_id(tenant)) or not (_is_lane(lane) and _is_lane(control)):
        return None
    return Sender(tenant, run, lane, control)


def claimed_run(token: str) -> str:
    """Return the run id in a token, without checking its signature; the token itself if it names none."""
    said = _said(token.rpartition(".")[0]) if len(token) <= LIMIT and token.isascii() else None
    run = said.get("r") if said is not None else None
    return run if isinstance(run, str) and valid_run_id(run) else token


def _said(head: str) -> dict[str, Any] | None:
    version, _, body = head.partition(".")
    if version != "v1":
        return None
    try:
        value = orjson.loads(base64.b64decode(body + "=" * (-len(body) % 4), altchars=b"-_", validate=True))
    except (binascii.Error, ValueError):
        return None
    return cast("dict[str, Any]", value) if isinstance(value, dict) else None


def _is_lane(text: str) -> bool:
    return not text or (len(text) <= _LANE_CHARS and safe_name(text))


def _mac(key: bytes, head: str) -> str:
    keyed = _keyed(key).copy()
    keyed.update(head.encode())
    return keyed.hexdigest()


@lru_cache(maxsize=8)
def _keyed(key: bytes) -> "hmac.HMAC":
    """Return what is prepared once for a key, and copied: unlike the one-shot it keeps the interpreter lock."""
    return hmac.new(key, digestmod="sha256")
