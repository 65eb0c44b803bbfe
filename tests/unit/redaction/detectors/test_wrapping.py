"""A credential is found in whatever a trace wraps it in."""

import base64
import html
import json
import urllib.parse
from collections.abc import Callable

import pytest

from runbundle.redaction.detectors.detector import MASK, Detector, default_detector
from runbundle.redaction.detectors.known_secrets import KnownSecrets
from runbundle.redaction.detectors.matcher import Matcher
from tests.support.credentials import examples

SECRETS = examples()
WRAPPINGS: dict[str, Callable[[str], str]] = {
    "bare": lambda s: s,
    "JSON value": lambda s: json.dumps({"v": s}),
    "dict key": lambda s: json.dumps({s: 1}),
    "repr": lambda s: repr({"v": s}),
    "bytes repr": lambda s: repr({"v": s.encode()}),
    "JSON in JSON": lambda s: json.dumps({"v": json.dumps({"w": s})}),
    "JSON three deep": lambda s: json.dumps(json.dumps(json.dumps({"v": s}))),
    "in a sentence": lambda s: f"we were given {s}. Keep it.",
    "followed by a comma": lambda s: f"f({s}, 1)",
    "followed by brackets": lambda s: f"[{s}] ({s}) <{s}>",
    "in a query": lambda s: f"https://h.example/p?x={s}&y=1",
    "in a path": lambda s: f"https://h.example/{s}/p",
    "percent-encoded": lambda s: (
        "v=" + "".join(f"%{b:02X}" if i % 3 == 0 else chr(b) for i, b in enumerate(s.encode()))
    ),
    "quoted for a URL": lambda s: urllib.parse.quote(json.dumps({"v": s})),
    "escaped as unicode": lambda s: '{"v":"' + "".join(f"\\u{ord(c):04x}" for c in s) + '"}',
    "escaped as bytes": lambda s: "v='" + "".join(f"\\x{ord(c):02x}" for c in s) + "'",
    "numbers of HTML": lambda s: "<b>" + "".join(f"&#{ord(c):04d};" for c in s) + "</b>",
    "capital numbers of HTML": lambda s: "<b>" + "".join(f"&#X{ord(c):X};" for c in s) + "</b>",
    "JSON in HTML": lambda s: html.escape(json.dumps({"v": s})),
    "base64": lambda s: base64.b64encode(s.encode()).decode(),
    "base64 of key=value": lambda s: base64.urlsafe_b64encode(f"key={s}".encode()).decode(),
    "base64 of UTF-16": lambda s: f"powershell -enc {base64.b64encode(s.encode('utf-16-le')).decode()}",
    "base64 of UTF-16, other end first": lambda s: base64.b64encode(s.encode("utf-16-be")).decode(),
    "base64 twice": lambda s: base64.b64encode(base64.b64encode(s.encode())).decode(),
    "zero-width space inside": lambda s: s[:9] + "\u200b" + s[9:],
    "soft hyphens inside": lambda s: "\u00ad".join(s),
    "tag characters inside": lambda s: s[:5] + "\U000e0041" + s[5:],
    "fullwidth letters": lambda s: "".join(chr(ord(c) + 0xFEE0) for c in s),
    "glued to a name": lambda s: f"id_{s}",
    "beside other letters": lambda s: f"é{s}é",
    "after a colour code": lambda s: f"\x1b[93m{s}\x1b[0m",
}


@pytest.mark.parametrize("wrapping", WRAPPINGS)
def test_wrapped_credentials_are_masked(wrapping: str) -> None:
    """Every format in this wrapping: nothing of the credential's own part is left, and the rest of the text is."""
    for name, secret in SECRETS.items():
        wrapped = WRAPPINGS[wrapping](secret)
        shown = default_detector().redact(wrapped)
        assert MASK in shown, f"{name}: {wrapped}"
        assert secret[-8:] not in shown, f"{name}: {shown}"


@pytest.mark.parametrize("part", [0.6, 0.8])
def test_a_credential_cut_short_is_found(part: float) -> None:
    """Truncation before redaction, as others do it: four of five formats are still known by their beginning."""
    found = [s for s in SECRETS.values() if default_detector().find(f"v={s[: int(len(s) * part)]}…")]
    assert len(found) >= 16


CONTEXT = {
    "quoted key": '{"db_password": "w9!kd-PLq"}',
    "unquoted key": "api_key=9f8e7d6c5b4a, next=1",
    "camel case": 'clientSecret: "w9kdPLq2x"',
    "user information": "postgres://svc:hunter2@db.example/app",
    "query": "https://h.example/cb?access_token=q8Zk2mW0xY",
    "scheme": "Authorization: Bearer q8Zk2mW0xYv7",
    "basic": "authorization: Basic dXNlcjpodW50ZXIy",
    "cookie": "Set-Cookie: sid=q8Zk2mW0xYv7pL; Path=/",
    "command line": "mysql --password=w9kd2PLq -h db",
    "curl": "curl -u svc:w9kd2PLq https://h.example",
    "phrase": "password: 'correct horse battery staple'",
    "element": "<ApiKey>q8Zk2mW0xYv7</ApiKey>",
    "private key": "-----BEGIN RSA PRIVATE KEY-----\nMIIEow\n-----END RSA PRIVATE KEY-----",
    "private key cut short": "-----BEGIN PRIVATE KEY-----\\nMIIEvQIBADAN",
    "token": "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2lnbmF0dXJl",
}


@pytest.mark.parametrize("text", CONTEXT.values(), ids=CONTEXT)
def test_context_gives_a_credential_away(text: str) -> None:
    """A word, a header or a place beside it is enough."""
    assert MASK in default_detector().redact(text)


def test_a_known_secret_is_found_in_html() -> None:
    """As `html.escape` writes it, also twice, and as templates do."""
    known = KnownSecrets()
    known.register(secret := "Zebra&Quill<77>'mauve\"")
    templates = secret.replace("&", "&amp;").replace("<", "&#60;").replace("'", "&apos;").replace('"', "&#34;")
    for text in (html.escape(secret), html.escape(html.escape(secret)), html.escape(secret, quote=False), templates):
        shown = Detector(Matcher(()), known).redact(f"<p>{text}</p>")
        assert shown == f"<p>{MASK}</p>", text


HARMLESS = [
    "<p>Terms &amp; conditions: a &lt; b, &quot;token&quot; &#8212; it&#39;s a word, \\x41 and \\x2f too.</p>",
    "The token count was 512 of max_tokens=4096, input_tokens: 500.",
    '{"tool_call_id": "call_Vx8zq2LmT0pKc9Rr", "id": "msg_01XFDUDYJgAACzvnptvVoYEL", "response_id": "resp_68a5b1c2"}',
    "trace_id=4bf92f3577b34da6a3ce929d0e0e4736 span_id=00f067aa0ba902b7",
    'api_key = os.environ["API_KEY"]; token: str = get_token()',
    "password: ${DB_PASSWORD}  secret: <your-secret>  key: {{ key }}",
    "sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
    "uuid 123e4567-e89b-12d3-a456-426614174000 and commit 8f4591bee2843535aabbccddeeff001122334455",
    "Please keep the secret of good bread: patience. The author's keyword list is public.",
    "see https://example.org/docs/authentication/api-keys?page=2#tokens",
]


@pytest.mark.parametrize("text", HARMLESS)
def test_ordinary_text_is_left_alone(text: str) -> None:
    """Ids, digests, counts, references to variables and prose stay as they are."""
    assert default_detector().find(text) == []


PEM = (
    "-----BEGIN RSA PRIVATE KEY-----\n"
    + ("MIIEowIBAAKCAQEAq3Zx8Lm2Pq" * 3)[:64] * 1
    + "\n"
    + "-----END RSA PRIVATE KEY-----\n"
)
LONG_JWT = "eyJhbGciOiJIUzI1NiJ9%2EeyJ" + "zdWIiOiIx" * 70 + "%2Ec2lnbmF0dXJl"


@pytest.mark.parametrize(
    "text",
    [
        urllib.parse.urlencode({"k": PEM}),
        base64.encodebytes((PEM * 3).encode()).decode(),
        base64.encodebytes((PEM * 3).encode()).decode().replace("\n", "\r\n"),
        LONG_JWT,
    ],
    ids=["form", "base64 in lines", "base64 in CRLF lines", "long token, encoded dots"],
)
def test_long_credentials_go_whole(text: str) -> None:
    """However far from the escape or the line end that hides them."""
    shown = default_detector().redact(text)
    assert MASK in shown
    assert "MIIE" not in shown
    assert "zdWIiOiIx" not in shown
    assert len(shown) < 60, shown
