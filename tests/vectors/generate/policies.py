"""The policies of the vectors: written by hand, so that each differs from the others in what it is there for."""

import hashlib
from typing import Any

Policy = dict[str, Any]


def _root(number: int) -> str:
    return hashlib.sha256(f"a key for vectors only, {number}".encode()).hexdigest()


def _rule(selector: str, action: str = "", target: str = "input", **more: Any) -> dict[str, Any]:
    return {"selector": selector, "target": target, **({"action": action} if action else {}), **more}


def _both(selector: str, action: str = "", **more: Any) -> list[dict[str, Any]]:
    return [_rule(selector, action, target, **more) for target in ("input", "output")]


def _contract(name: str, rules: list[dict[str, Any]], *, data: dict[str, Any] | None = None, **more: Any) -> Policy:
    return {"name": name, "data": {"rules": rules, **(data or {})}, **more}


ECHO = _contract(
    "echo",
    [*_both("", "keep"), *_both("/**", "keep"), _rule("", "keep", "error")],
    version="2",
    side_effects="none",
)
"""Keeps all."""
LOOKUP = _contract(
    "lookup",
    [
        _rule("/q", "keep"),
        _rule("/customer/email", data_class="personal"),
        _rule("/customer/name", data_class="personal", action="mask"),
        _rule("/filters/*/value", "keep"),
        _rule("/note", "truncate", max_chars=12),
        _rule("/hits/*/title", "keep", "output"),
        _rule("/hits/*/score", "keep", "output"),
        _rule("/hits/*/author", data_class="personal", target="output"),
        _rule("/total", "keep", "output"),
        _rule("/code", "keep", "error"),
    ],
    side_effects="read",
    input_schema={
        "type": "object",
        "properties": {
            "q": {"type": "string"},
            "note": {"type": "string"},
            "limit": {"type": "integer"},
            "customer": {"properties": {"email": {}, "name": {}, "id": {}}},
            "filters": {"type": "array", "items": {"properties": {"field": {}, "value": {}}}},
        },
    },
)
"""Has a schema, and classes with default actions."""
PAY = _contract(
    "pay",
    [
        *_both("/iban", data_class="financial"),
        *_both("/card", data_class="financial", keep_last=4),
        *_both("/amount", "keep"),
        *_both("/currency", "keep"),
        *_both("/**/pin", data_class="credential"),
        *_both("/memo", "hash", data_class="content"),
        *_both("/health", data_class="special"),
        *_both("/lines/*", "keep"),
        *_both("/lines/*/secret", "drop"),
        *_both("/ref", "keep", data_class="personal", reason="support asks for it"),
    ],
    data={"undeclared": "drop", "undeclared_scalars": "keep"},
    side_effects="destructive",
    idempotent=True,
)
"""Drops what nobody declared, but for numbers."""
MAIL = _contract(
    "mail",
    [
        *_both("/to", data_class="personal"),
        *_both("/subject", "truncate", max_chars=5, data_class="content"),
        *_both("/headers/**", "keep"),
        *_both("/**/body", "drop"),
        *_both("/parts/*/type", "keep"),
        *_both("/a~1b", "keep"),
        *_both("/m~0n", "keep"),
        *_both("/*/id", "keep"),
    ],
    data={"undeclared": "hash", "undeclared_scalars": "hash"},
    version="2026-01",
)
"""Hashes what nobody declared; has selectors with escapes and wildcards."""
BARE = _contract("bare", [])
"""Says nothing."""
STRICT = _contract(
    "ns.strict/v1:x",
    [
        *_both("/a", "keep"),
        *_both("/a/b", "mask"),
        *_both("/a/*", "drop"),
        *_both("/**", "mask"),
        *_both("/a/**/c", "keep"),
    ],
    data={"undeclared_scalars": "keep"},
)
"""Has rules that speak against each other."""
ALL = [ECHO, LOOKUP, PAY, MAIL, BARE, STRICT]

POLICIES: dict[str, Policy] = {
    "none": {"root": _root(1)},
    "contracts": {"root": _root(1), "contracts": ALL},
    "other-key": {"root": _root(2), "contracts": ALL},
    "echo": {"root": _root(1), "contracts": [ECHO]},
    "safe": {
        "root": _root(1),
        "contracts": ALL,
        "safe_keys": ["app.order_kind", "app.shelf", "app.token", "tier.*", "*.region", "acme.*.kind"],
        "safe_names": ["refresh shelf", "cart.checkout", "job.*", "Wake up, Ada!"],
    },
    "keep-user": {"root": _root(3), "user_id": "keep", "safe_keys": ["app.*"], "result": [_rule("/answer", "keep")]},
    "drop-user": {
        "root": _root(3),
        "user_id": "drop",
        "result": [_rule("", "keep"), _rule("/customer", data_class="personal")],
    },
    "result": {
        "root": _root(4),
        "contracts": ALL,
        "result": [
            _rule("/answer", "keep"),
            _rule("/who", data_class="personal"),
            _rule("/items/*", "truncate", max_chars=4),
        ],
    },
}
TOOLS = ("echo", "lookup", "pay", "mail", "bare", "ns.strict/v1:x", "unknown_tool")
