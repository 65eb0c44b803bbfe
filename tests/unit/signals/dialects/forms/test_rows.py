"""Rows are read in their order, and only those of which a source is there."""

from typing import Any

from runbundle.signals.dialects.forms.table import Reading, Row, Rows


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) else None


ROWS = (Row("a", ("x", "y"), _text), Row("b", ("x",)), Row("c", ("z",)))


def _read(**attributes: Any) -> dict[str, Any]:
    reading = Reading("", attributes)
    reading.apply(Rows(ROWS).with_sources_in(attributes))
    return reading.attributes


def test_what_one_row_could_not_read_is_left_for_the_next() -> None:
    """The first source that can be read is believed; a row without sources there is not looked at."""
    assert _read(x="1", y="2") == {"a": "1"}
    assert _read(y="2", z=3) == {"a": "2", "c": 3}
    assert _read(x=1) == {"b": 1}
    assert _read(x=1, y="2") == {"a": "2", "b": 1}
    assert _read(a="0", x="1") == {"a": "0"}
    assert list(Rows(ROWS).with_sources_in({"other": 1})) == []
