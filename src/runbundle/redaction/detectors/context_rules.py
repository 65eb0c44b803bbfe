"""Rules by context: a value is a credential because of the word, the header or the place beside it.

These rules know no vendor, so each match is judged a second time: it must be no placeholder, no reference to a
variable, no word, and no id under a key that holds ids. That judgement keeps them off ordinary text.
"""

import math
from collections import Counter

from runbundle.process.regex import later
from runbundle.redaction.detectors.credential_words import KEY_OF, PASSWORDS, TEXT_WORDS, names_another
from runbundle.redaction.detectors.rule import Rule
from runbundle.redaction.detectors.value_ends import (
    LONGEST_VALUE,
    header_end,
    is_closed,
    query_end,
    userinfo_end,
    value_end,
)

_OF = "|".join(sorted(KEY_OF))
_WORD = (
    rf"{'|'.join(TEXT_WORDS)}|creds|(?:{_OF})[ _.-]?(?:key|secret|token|pass|pin|pwd)|connection[ _-]?string|webhook"
)
_STRONG = r"pass(?:word|wd|phrase)|secret|api[_-]?key|private[_-]?key|access[_-]?key"
_TYPED = "|".join(sorted(PASSWORDS | {"secret"}))
_NEAR = r"secret|token|key|passw(?:or)?d|passphrase|access|auth|pwd|cred|api|bearer|oauth|jwt|license|webhook"
_KEYWORDS = (
    "pass", "pwd", "pw", "secret", "token", "cred", "auth", "key", "bearer", "jwt", "dsn", "connection", "webhook",
    "pin", "otp", "salt", "kennwort", "senha", "contrase", "mdp", "pswd",
)  # fmt: skip
_SEPARATOR = r"\s{0,5}(?:=>|[:?+.]?=|\|\||!={1,2}|={2,3}|[:=,(]{1,3})\s{0,5}"
_QUOTE = r"\\{0,3}[\"'`]"
_BARE = r"([^\s\"'`,;&<>()\\]{6,512}|[^\s\"'`,;&<>()\\]{1,5}[\"'`,;&<>()\\][A-Za-z0-9])"
"""A value without quotes, or its beginning up to a sign in it."""
_TYPE = r"(?:\s(?:string|str|text))?"

_PLACEHOLDER = later(
    rb"(?i)[<\[({][^0-9]*[0-9]{0,2}[^0-9]*[>\])}]|\$(?:[a-z_]\w*|[{(].*)|%[a-z_]+%|\{\{.*|x+|\*+"
    rb"|(?:your|my|the|some|insert|enter|put|add|replace)[-_ ].*"
    rb"|.*(?:placeholder|redacted|change_?me|not_?set|undefined).*|true|false|null|none|nil|yes|no|str(?:ing)?|int|bytes"
    rb"|object|bearer|basic|tokens?|secrets?|passw(?:or)?d|api[_-]?key|required|optional|default|os\.(?:environ|getenv).*"
    rb"|process\.env.*|env[.:(].*|self\..*|config\..*|settings\..*|getenv.*|(?:input|output|total|max)_?tokens.*"
    rb"|[a-z+]+://[^:@/]*(?:/.*)?|/(?:[\w.-]+/)*[\w.-]*|\.{2,}.*"
)
_WORDS = later(rb"[A-Za-z]+(?:[_.:/-]+[A-Za-z]+)*[_.:-]?[0-9]{0,2}[.:]?")
_PROTOCOL_ID = later(
    rb"(?i)(?:call|(?:srv)?tool(?:u|use)?|msg|message|resp|response|req|request|chatcmpl|cmpl|run|rs|fc|ws|ci|mcp|item|event"
    rb"|evt|file|batch|gen|asst|thread|step|vs|container|cntr|auto_load|pyd_ai|conv|session|trace|span|ep|prompt|output"
    rb"|audio|sess|part|node"
    rb"|proj|org|user|acct|cus|sub|price|prod|pi|ig|cu|lc|ft|h1|sha(?:1|256|384|512)?|md5"
    rb"|model|claude|gpt|gemini|accounts|mistral|llama|qwen|deepseek)[-_:/].*"
)
_ID_KEY = later(
    rb"(?:(?:^|[^A-Za-z])id|[_-]ids?|[a-z]I[dD]|uuid|guid|hash|digest|sha[0-9]+|checksum|etag|fingerprint|version|name|model"
    rb"|type|count|length|authors?|keywords?|keyboard|tokens|monkey|passages?|passenger|author[a-z]*|tokeni[sz]\w*"
    rb"|index|url|uri|path|created|expires?(?:_(?:at|in))?"
    rb"|signature)[\"'`\\]{0,4}\s{0,5}[:=>,|]{1,3}[\s\"'`\\]{0,6}$"
)
_KEY_BEFORE = later(rb"([A-Za-z][A-Za-z0-9_.-]{1,50})[\"'`\\\])]{0,4}\s{0,5}[:=>]{1,3}[\s\"'`\\]{0,6}$")
_CONSTANT = later(rb"[A-Z]+(?:_[A-Z]+)+")
_PATH = later(rb"(?i)[a-z]{4,}/|[a-z]+-[a-z]+/")
_TOKEN = frozenset(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_+/=-")
_PORT = later(rb"[^:]*:[0-9]{1,5}(?:/|$)")
_LONGEST = 200
_SHORTEST = 6


def entropy(text: bytes) -> float:
    """Return the entropy of `text` in bits a character."""
    return -sum(n / len(text) * math.log2(n / len(text)) for n in Counter(text).values())


def _plausible(data: bytes, start: int, end: int) -> bool:
    """Tell whether a value may be a credential: it is no placeholder, no reference and no id."""
    value = data[start:end]
    return len(value) > LONGEST_VALUE or (
        len(set(value)) > 3
        and _CONSTANT.fullmatch(value) is None
        and _PLACEHOLDER.fullmatch(value) is None
        and _PROTOCOL_ID.fullmatch(value) is None
        and _ID_KEY.search(data, max(0, start - 60), start) is None
        and not _of_another(data, start)
    )


def _of_another(data: bytes, start: int) -> bool:
    key = _KEY_BEFORE.search(data, max(0, start - 60), start)
    return key is not None and names_another(key[1].decode())


def _unquoted(data: bytes, start: int, end: int) -> bool:
    """Without quotes, words are likelier than secrets: ask for what no word has."""
    value = data[start:end]
    if _WORDS.fullmatch(value) is not None and not _shouting(value):
        return False
    return any(48 <= c <= 57 or c in b"!@#$%^&*?+/=" for c in value) and _plausible(data, start, end)


def _shouting(value: bytes) -> bool:
    return len(value) >= 20 and value.isalpha() and entropy(value) > 4.0


def _random(data: bytes, start: int, end: int) -> bool:
    """Letters and digits near a word are a credential only if they look drawn at random."""
    value = data[start:end]
    digits = sum(48 <= c <= 57 for c in value)
    return (
        ((digits >= 2 and digits < len(value) - 2) or _shouting(value))
        and len(value) <= _LONGEST  # longer runs are content, or a format that a rule of its own knows
        and not (end < len(data) and data[end] in _TOKEN)
        and entropy(value) >= 2.9
        and value.count(b"/") <= 3
        and _PATH.match(value) is None
        and _unquoted(data, start, end)
    )


def is_dense(data: bytes, start: int, end: int) -> bool:
    """Tell whether a match is a token rather than base64 of a picture or of sound, in which few characters repeat."""
    return entropy(data[start:end]) >= 4.3


def is_drawn(data: bytes, start: int, end: int) -> bool:
    """Tell whether a match is a token that was cut short rather than a name that begins as one."""
    value = data[start:end]
    mixed = len(value) >= 20 and not value.islower() and not value.isupper()
    return (
        (mixed or sum(48 <= c <= 57 for c in value) >= 2)
        and entropy(value) >= 3.2
        and _CONSTANT.fullmatch(value) is None
    )


def is_token_like(data: bytes, start: int, end: int) -> bool:
    """Tell whether a vendor's rule matched a possible token: a placeholder is none."""
    return len(set(data[start:end])) > 3 and _PLACEHOLDER.fullmatch(data, start, end) is None


def _userinfo(data: bytes, start: int, end: int) -> bool:
    return _PLACEHOLDER.fullmatch(data[start:end]) is None


def _prefixed(data: bytes, start: int, end: int) -> bool:
    """A short prefix and a long random run is how most vendors build tokens today; protocols build ids so, too."""
    value = data[start:end]
    tail = value[value.rindex(b"_") + 1 :]
    kinds = sum(any(low <= c <= high for c in tail) for low, high in ((48, 57), (65, 90), (97, 122)))
    return (
        kinds >= 2 and sum(48 <= c <= 57 for c in tail) >= 3 and entropy(tail) >= 3.2 and _plausible(data, start, end)
    )


def _quoted(data: bytes, start: int, end: int) -> bool:
    """A value in quotes: no blanks in it, and the quote behind it; where that was cut off, it must look like one."""
    value = data[start:end]
    if len(value) < 4 or any(c in b" \t\r\n" for c in value):
        return False
    return _plausible(data, start, end) if is_closed(data, start, end) else _unquoted(data, start, end)


def _phrase(data: bytes, start: int, end: int) -> bool:
    return end - start >= 6 and is_closed(data, start, end) and _plausible(data, start, end)


def _valued(data: bytes, start: int, end: int) -> bool:
    return end - start >= _SHORTEST and _unquoted(data, start, end)


def _queried(data: bytes, start: int, end: int) -> bool:
    return end - start >= _SHORTEST and _plausible(data, start, end)


def _labelled_line(data: bytes, start: int, end: int) -> bool:
    """A line that is a label and its value, which has blanks: one word of it at least is none."""
    words = data[start:end].split()
    mixed = any(len(w) >= 4 and any(48 <= c <= 57 for c in w) and any(chr(c).isalpha() for c in w) for w in words)
    return mixed and 2 <= len(words) <= 3 and not any(w.endswith((b":", b"=")) or b"=" in w[1:-1] for w in words)


def _login(data: bytes, start: int, end: int) -> bool:
    """User information: not a port with a path in which there is an `@`."""
    value = data[start:end]
    return _PORT.match(value) is None and _userinfo(data, start, end)


GENERIC_RULES: tuple[Rule, ...] = (
    Rule(
        "key-value-quoted",
        rf"(?i)(?:{_WORD})[\w.-]{{0,30}}{_TYPE}(?:\\{{0,3}}[\"'`\])])*{_SEPARATOR}\(?[a-z@$]{{0,2}}"
        rf"{_QUOTE}([^\s\"'`\\]{{1,512}})",
        _KEYWORDS, _quoted, False, value_end,
    ),
    Rule(
        "key-phrase-quoted",
        rf"(?i)(?:{_STRONG})(?:{_QUOTE})?\s{{0,5}}(?:=>|:?=|:)\s{{0,5}}{_QUOTE}([^\s\"'`\\][^\"'`\\\r\n]{{0,127}})",
        _KEYWORDS, _phrase, False, value_end,
    ),
    Rule(
        "key-value-unquoted",
        rf"(?i)(?:{_WORD})[\w.-]{{0,30}}\s{{0,3}}(?:=>|:=|=|:)\s{{0,5}}{_BARE}",
        _KEYWORDS, _valued, False, value_end,
    ),
    Rule(
        "labelled-line",
        rf"(?im)^[ \t>*\"'-]{{0,8}}(?:[\w.-]{{1,30}}[ _.-])?(?:{_TYPED})[ \t]{{0,3}}[:=][ \t]{{0,3}}"
        r"([^\s][^\r\n]{3,100})$",
        _KEYWORDS, _labelled_line, False,
    ),
    Rule(
        "key-near-random",
        rf"(?i)(?:{_NEAR})[\w. -]{{0,20}}?[ \t\"'`:=>|,()\[\]\\_-]{{1,8}}([A-Za-z0-9_+/.~-]{{11,512}}={{0,2}})",
        (*_KEYWORDS, "access", "api", "license"), _random, False,
    ),
    Rule(
        "prefixed-token",
        r"(?:^|[^A-Za-z0-9_+/=.~%-])([A-Za-z][A-Za-z0-9]{1,9}_(?:[A-Za-z0-9]{2,16}_){0,3}[A-Za-z0-9]{24,160})(?:[^A-Za-z0-9_+/=-]|$)",
        ("_",), _prefixed, False,
    ),
    Rule(
        "url-userinfo", r"[A-Za-z0-9]://([^\s/?#\"'<>@\\]{1,256})@[^\s\"'<>]", ("://",), _userinfo, False, userinfo_end,
    ),
    Rule(
        "url-login", r"[A-Za-z0-9]://([^\s/?#\"'<>@:\\]{1,64}:[^\s/\"'<>@][^\s\"'<>@]{0,100})@[A-Za-z0-9]", ("://",),
        _login, False, userinfo_end,
    ),
    Rule(
        "url-query",
        r"(?i)(?:[?&;#]|%3f|%26)(?:access_?token|auth|auth_?token|api_?key|apikey|key|token|secret|client_secret|password|passwd"
        r"|pwd|sig|signature|code|x-amz-(?:signature|credential|security-token)|x-goog-signature|session|sid|jwt|id_token"
        r"|refresh_token|awsaccesskeyid|googleaccessid)(?:=|%3d)([^\s&#\"'<>\\;]+)",
        ("?", "&", "#", ";", "%3f", "%26"), _queried, False, query_end,
    ),
    Rule(
        "authorization",
        r"(?i)\b(?:bearer|basic|digest|negotiate|apikey|token|splunk|aws4-hmac-sha256)(?:\s|\+|%20|:|=|\\t){1,3}"
        r"([A-Za-z0-9._~+/-]{8,}={0,3})",
        ("bearer", "basic", "digest", "negotiate", "apikey", "token", "splunk", "aws4-hmac"), _random, False,
    ),
    Rule(
        "header",
        r"(?i)(?:x-[a-z-]{0,30}(?:key|token|auth|secret)|authorization|proxy-authorization|set-cookie|cookie|x-csrf-token"
        rf"|private-token)(?:{_QUOTE})?\s{{0,3}}[:=,]\s{{0,3}}(?:{_QUOTE})?(?:(?:basic|bearer|token|digest|negotiate|splunk|apikey)\s)?([^\s\"'`\\,<>]{{8,}})",
        ("x-", "authorization", "cookie", "private-token"), _unquoted, False, header_end,
    ),
    Rule(
        "command-line",
        r"(?i)(?:^|[\s\"'\[,])--?(?:[a-z-]{0,30}(?:password|passwd|pass|token|secret|key|auth|credentials?|pw|pwd))(?:[\s=]|\\t){1,3}"
        r"[\"']?([^\s\"'\\<>]{1,512})",
        ("-",), _valued, False, value_end,
    ),
    Rule(
        "curl-user",
        r"\s(?:-u|--user)[\s=]{0,2}[\"']?([^\s\"':<>$]{1,128}:[^\s\"'<>$]{3,256})",
        ("-u", "--user"), _userinfo, False,
    ),
    Rule(
        "camel-case-key",
        rf"[a-z0-9](?:Password|Passwd|Secret|Token|Credential|Key|Auth|Pwd)(?:[A-Z]\w{{0,20}})?{_TYPE}[\"']?{_SEPARATOR}"
        rf"(?:{_QUOTE})?{_BARE}",
        _KEYWORDS, _valued, False, value_end,
    ),
    Rule(
        "xml-element",
        rf"(?i)<[\w.:-]{{0,40}}(?:{_WORD})[\w.-]{{0,20}}>\s{{0,10}}([^\s<>][^\r\n]{{0,200}}?)\s{{0,10}}</",
        ("</",), _valued, False,
    ),
)  # fmt: skip
"""The rules by context."""
