"""Times and durations as people type them: `2d`, `3 hours ago`, `yesterday`, `2026-11-25T14:00`, `1.5s`."""

from datetime import UTC, datetime, timedelta

from runbundle.errors import ConfigError
from runbundle.process.regex import later

_UNITS = {"s": 1, "m": 60, "h": 3_600, "d": 86_400, "w": 604_800}
_NAMES = {"second": "s", "sec": "s", "minute": "m", "min": "m", "hour": "h", "day": "d", "week": "w"}
_AGO = later(r"(\d{1,6})\s*([a-z]+?)s?(?:\s+ago)?")
_DAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
_LENGTH = later(r"(\d{1,12}(?:\.\d{1,9})?)\s*(ns|us|µs|ms|s|m|h|d|w)")
_NS = {"ns": 1, "us": 1_000, "µs": 1_000, "ms": 1_000_000} | {unit: s * 10**9 for unit, s in _UNITS.items()}
_LONGEST_NS = 2**63 - 1
TIMES = "as in 90m, 2d, yesterday, monday, 2026-11-25 or 2026-11-25T14:00+01:00"


def parse_moment(text: str, *, now: datetime | None = None) -> str:
    """Return the time that `text` names as the beginning of an RFC 3339 time in UTC, to the second.

    `text` is how long ago it was (`90m`, `2 days ago`), `now`, `today`, `yesterday`, the name of a day (the last one,
    at its beginning), or an ISO date or time. Days, and times without a zone, are those of this machine's zone. Raises
    `ConfigError`.
    """
    now = (now or datetime.now(UTC)).astimezone()
    words = text.strip().lower()
    try:
        return _written(_relative(words, now) or _local(datetime.fromisoformat(text.strip())))
    except (ValueError, OverflowError):
        raise ConfigError(f"{_shown(text)} is no time", hint=TIMES) from None


def parse_duration(text: str) -> int:
    """Return the nanoseconds of a duration such as `300ms`, `1.5s` or `2h`. Raises `ConfigError`."""
    found = _LENGTH.fullmatch(text.strip().lower())
    if found is None:
        raise ConfigError(f"{_shown(text)} is no duration", hint="a number and its unit, as in 300ms, 1.5s, 2m, 1h")
    whole, _, part = found[1].partition(".")
    size = _NS[found[2]]
    return min(int(whole) * size + (int(part) * size // 10 ** len(part) if part else 0), _LONGEST_NS)


def _relative(words: str, now: datetime) -> datetime | None:
    if words == "now":
        return now
    today = now.replace(hour=0, minute=0, second=0, microsecond=0, tzinfo=None)
    if words in ("today", "yesterday"):
        return _local(today - timedelta(days=words == "yesterday"))
    if words in _DAYS:
        return _local(today - timedelta(days=(now.weekday() - _DAYS.index(words)) % 7))
    ago = _AGO.fullmatch(words)
    unit = ago and (ago[2] if ago[2] in _UNITS else _NAMES.get(ago[2]) or ("s" if not ago[2] else ""))
    return now - timedelta(seconds=int(ago[1]) * _UNITS[unit]) if ago and unit else None


def _local(moment: datetime) -> datetime:
    return moment if moment.tzinfo else moment.astimezone()


def _written(moment: datetime) -> str:
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S").rjust(19, "0")


def _shown(text: str) -> str:
    return f"{text[:40]!r}" if text.isprintable() else "the given text"
