"""The end of a value whose beginning a rule by context has found, so that no rest of a secret stays behind its mask.

A sign within a value is a part of it (`p4&ss;w0rd`). A sign before another field, a blank or the end is not
(`a=1&b=2`). All functions here take the span `data[start:end]` of the beginning.
"""

from runbundle.process.regex import later

LONGEST_VALUE = 512

_QUOTES = b"\"'`"
_BLANK = b" \t\r\n\0"
_SIGNS = frozenset(b"\"'`,;&<>()\\")
_STOP = later(
    rb"&(?:amp;|[\w.%\[\]-]{1,40}=|[&\s]|$)"
    rb"|[,;](?:\s|$|[\"'`\])}\\]|[\w.-]{1,40}[\"']?\s?[=:])"
    rb"|[\"'`](?:$|[\s,;:)\]}>\"'`<&\\])"
    rb"|<(?:/|br|\s|$)|>(?:$|[\s<,;)\"'])"
    rb"|[()](?:$|[\s,;.:)\]}\"'`\\])"
    rb"|\\+(?:[nrtu\"'/`]|$)"
)
_MORE_COOKIES = later(rb"(?:;[ \t]{0,2}[\w.-]{1,64}(?:=[^\s;,\"'\\<>]{0,4096})?){1,64}")
_FIELDS = later(rb"(?:,?[ \t]{0,2}\w{1,32}=(?:\\{0,3}\"[^\"\\]{0,1024}\\{0,3}\"|[^\s,\"'\\]{1,1024})){1,16}")
_ENCODED_REST = later(rb"(?:%(?!26|23|20)[0-9A-Fa-f]{2}|[^\s&#\"'<>\\;%])*")
_AUTHORITY = later(rb"[^\s/?#\"'<>\\]{0,256}@(?=[^\s\"'<>])")


def value_end(data: bytes, start: int, end: int) -> int:
    """Return the end of a value: the closing quote if it is quoted, else the first sign that cannot belong to it."""
    quote = _opening(data, start)
    if quote:
        closing = _closing(data, start, quote)
        if closing >= 0:
            return closing
    stop = min(len(data), start + LONGEST_VALUE)
    while end < stop and data[end] not in _BLANK:
        if data[end] in _SIGNS and _STOP.match(data, end) is not None and not _closes(data, start, end):
            break
        end += 1
    return end


def is_closed(data: bytes, start: int, end: int) -> bool:
    """Tell whether the quote that opened the value `data[start:end]` stands at its end."""
    quote = _opening(data, start)
    return bool(quote) and data.startswith(quote, end)


def header_end(data: bytes, start: int, end: int) -> int:
    """Return the end of a header's value; cookies, and schemes with fields, end with the last of them."""
    before = data[max(0, start - 40) : start].lower()
    if b"cookie" in before:
        at = data.find(b";", start, end)
        more = _MORE_COOKIES.match(data, end if at < 0 else at)
        return more.end() if more else end
    if b"authorization" in before and (fields := _FIELDS.match(data, start)):
        return max(end, fields.end())
    return value_end(data, start, end)


def query_end(data: bytes, start: int, end: int) -> int:
    """Return the end of a URL's parameter. If its `=` is percent-encoded, an encoded `&` ends it."""
    if data[start - 3 : start].lower() != b"%3d":
        return end
    found = _ENCODED_REST.match(data, start, end)
    return found.end() if found else end


def userinfo_end(data: bytes, _start: int, end: int) -> int:
    """Return the end of user information in a URL: the last `@` before the host."""
    at = _AUTHORITY.match(data, end + 1)
    while at is not None:
        end = at.end() - 1
        at = _AUTHORITY.match(data, end + 1)
    return end


def _opening(data: bytes, start: int) -> bytes:
    """Return the quote before a value with the backslashes before it, or nothing."""
    if start == 0 or data[start - 1] not in _QUOTES:
        return b""
    first = start - 1
    while first > 0 and data[first - 1] == 92 and start - first <= 16:
        first -= 1
    return data[first:start]


def _closing(data: bytes, start: int, quote: bytes) -> int:
    """Return where the quote stands again that is not a part of the value, or -1."""
    stop = min(len(data), start + LONGEST_VALUE + len(quote))
    at = data.find(quote, start, stop)
    while at >= 0:
        slashes = at
        while slashes > start and data[slashes - 1] == 92:
            slashes -= 1
        if (at - slashes) % 2 == 0 if len(quote) == 1 else at == slashes:
            return at
        at = data.find(quote, at + 1, stop)
    return -1


def _closes(data: bytes, start: int, end: int) -> bool:
    """Tell whether a bracket closes one within the value."""
    pair = {41: b"(", 62: b"<"}.get(data[end])
    return pair is not None and data.count(pair, start, end) > data.count(data[end : end + 1], start, end)
