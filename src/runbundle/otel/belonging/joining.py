"""Tokens: how one process tells another whose run it works for, so that nobody else can.

A token is `v1.<base64url of JSON>.<HMAC-SHA-256, for each key>`. Its keys come from the key that digests were given, if
they were, and from the one that this user keeps for the store: whoever has either believes it. It is the value of one
baggage entry, and holds a tenant, a run and lanes: ids and names, nothing that may not be kept.
"""

import base64
import binascii
import hmac
from typing import Any, Literal, NamedTuple, cast

import orjson

from runbundle.format.identity import valid_run_id
from runbundle.redaction.permitted.safe_text import safe_name

LIMIT = 2048
"""Characters of a token; what is longer is none of ours."""
Trust = Literal["signed", "any", "never"]
"""Which claims of a run are believed: authenticated ones, plain ones too, none."""

_LANE_CHARS = 200
_MAC_CHARS, _KEYS = 64, 2


class Sender(NamedTuple):
    """Whose work it is, as a token says."""

    tenant_id: str
    """"" for a run without a tenant."""
    run_id: str
    lane: str = ""
    """Where in the run the receiver's spans stand; "" if the sender did not say."""
    control: str = ""
    """Which lane of spawned work the receiver's is; "" if nobody knows."""


def token_of(keys: tuple[bytes, ...], sender: Sender) -> str:
    """Return the token in which a process says whose work it hands on, signed with each of its keys."""
    said = {"t": sender.tenant_id, "r": sender.run_id, "l": sender.lane}
    if sender.control:
        said["e"] = sender.control
    head = "v1." + base64.urlsafe_b64encode(orjson.dumps(said)).decode().rstrip("=")
    return f"{head}.{''.join(_mac(key, head) for key in keys)}"


def sender_of(keys: tuple[bytes, ...], token: str) -> Sender | None:
    """Return what a token says; None if it is not whole or not from somebody who has one of the keys."""
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
    """Return the run that a token names, whoever made it; the token itself if it names none."""
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
    return hmac.digest(key, head.encode(), "sha256").hex()
