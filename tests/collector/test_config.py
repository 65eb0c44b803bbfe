"""`collector/config.yaml` and the library agree on keys, formats and markers; nothing is built or started."""

import re
from pathlib import Path
from typing import Any

import pytest
import re2
import yaml

from runbundle.redaction.markers import CLASSES, Digester, marker
from runbundle.redaction.permitted.safe_text import has_credential
from runbundle.signals.keys import RESOURCE_KEYS, SPAN_KEYS

CONFIG: dict[str, Any] = yaml.safe_load((Path(__file__).parents[2] / "collector" / "config.yaml").read_text())
REDACTION = CONFIG["processors"]["redaction"]
TOKENS = [
    "AKIAIOSFODNN7EXAMPLE",
    "ghp_" + "a1" * 18,
    "github_pat_" + "a1" * 20,
    "glpat-" + "a1" * 10,
    "sk-" + "a1" * 12,
    "sk_live_" + "a1" * 12,
    "xoxb-1234567890-abc",
    "xapp-1-ABCDEFGHIJ",
    "https://hooks.slack.com/services/T0/B0/x",
    "AIza" + "a1" * 17 + "b",
    "ya29." + "a1" * 12,
    "hf_" + "a1" * 17,
    "npm_" + "a1" * 18,
    "pypi-" + "a1" * 12,
    "SG." + "a1" * 11 + "." + "b2" * 21,
    "Bearer abcdefghijkl",
    "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0In0.sig",
    "-----BEGIN RSA PRIVATE KEY-----\nabc\n-----END RSA PRIVATE KEY-----",
    "postgres://user:pass@host/db",
]


def patterns(name: str) -> list[Any]:
    """Compile a list of the redaction processor as the Collector would: `$$` is its way to write `$`."""
    return [re2.compile(pattern.replace("$$", "$")) for pattern in REDACTION[name]]


def listed(first: str) -> set[str]:
    """Return the keys of the `keep_keys` statements that name `first` as their first key."""
    source = str(CONFIG["processors"]["transform/withhold"])
    return {
        key
        for keys in re.findall(r"keep_keys\([a-z.]+, ?\[([^\]]*)\]", source)
        if keys.strip().startswith(f'"{first}"')
        for key in re.findall(r'"([^"]+)"', keys)
    }


@pytest.mark.parametrize("first", ["gen_ai.operation.name", "exception.type", "code.function.name"])
def test_listed_keys_hold_no_content(first: str) -> None:
    """What the Collector keeps of a span, event or log record is a name, an id or a number to the library too."""
    keys = listed(first)
    assert keys
    assert {key: SPAN_KEYS.get(key) for key in keys if SPAN_KEYS.get(key) not in ("name", "id", "number", "flag")} == {}


def test_listed_resource_keys_are_the_librarys() -> None:
    """What the Collector keeps of a resource, the library keeps too."""
    assert listed("service.name")
    assert listed("service.name") <= set(RESOURCE_KEYS)


def test_no_declared_key_names_a_credential() -> None:
    """No key that the library sends is one whose value the Collector masks: bundles do not depend on the path."""
    blocked = patterns("blocked_key_patterns")
    assert [key for key in {**SPAN_KEYS, **RESOURCE_KEYS} if any(p.search(key) for p in blocked)] == []


@pytest.mark.parametrize("token", TOKENS, ids=[token[:8] for token in TOKENS])
def test_formats_are_masked_by_both(token: str) -> None:
    """A credential that the Collector would mask never leaves the library."""
    assert any(p.search(f"text {token} text") for p in patterns("blocked_values"))
    assert has_credential(f"text {token} text")


def test_every_format_has_an_example() -> None:
    """Each of the Collector's formats is held against the library by one of the tokens above."""
    unused = [p.pattern for p in patterns("blocked_values") if not any(p.search(token) for token in TOKENS)]
    assert unused == []


@pytest.mark.parametrize("data_class", CLASSES.split("|"))
def test_every_marker_is_allowed(data_class: str) -> None:
    """Whatever marker the library builds, the Collector leaves alone."""
    digest = Digester(b"k")("content", b"x")
    roles = ("developer",) * 8
    (allowed,) = patterns("allowed_values")
    for text in (
        marker(data_class),
        marker(data_class, digest=digest, size=10**14, roles=roles, index=9999),
        f"[REDACTED:{data_class}:last=4242]",
        f"[REDACTED:{data_class}{':1' * 8}]",
        f"[REDACTED:{data_class}:{digest}:bytes=2048:roles=system+user]",
    ):
        assert allowed.search(text), text


@pytest.mark.parametrize(
    "text",
    [
        "[REDACTED:AKIAIOSFODNN7EXAMPLE]",
        "[REDACTED:content:hunter2]",
        f"[REDACTED:content{':1' * 9}]",
        "[REDACTED:content] and more",
        "<redacted>",
    ],
)
def test_nothing_else_passes_as_a_marker(text: str) -> None:
    """A text that merely looks like a marker is searched like any other."""
    (allowed,) = patterns("allowed_values")
    assert not allowed.search(text)
