"""The native core on what frameworks really emit: the spans of all dumps, as a recorder is given them."""

import copy
from pathlib import Path
from typing import Any
from unittest import mock

import pytest

from runbundle.core import native
from runbundle.core.spans import SpanLines
from runbundle.journal.lines import RecordLine, record_line
from runbundle.redaction.redactor import Redactor
from tests.interop import dumps
from tests.interop.coverage import replayed
from tests.interop.reading import KEY

MOST_LEFT = 0.03
"""The share of spans that may be left to Python."""


@pytest.mark.skipif(native.module() is None, reason="the native core is not there: make native")
def test_it_takes_nearly_all_spans_of_agents_and_writes_what_python_writes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In every dialect; how many it left is printed."""
    monkeypatch.setenv("RUNBUNDLE_REDACTION_KEY", KEY.decode())
    left, spans, shares = 0, 0, dict[str, str]()
    for file in sorted(dumps.FOLDER.iterdir()):
        policy, records = _recorded(file, tmp_path / file.name)
        lines, python = SpanLines(Redactor(policy)), Redactor(policy)
        for record in records:
            assert lines.line(record, 1) == record_line("span", python.redact_span(record), 1), (file.name, record)
        left, spans = left + lines.by_python, spans + len(records)
        if lines.by_python:
            shares[file.name] = f"{lines.by_python} of {len(records)}"
    print(f"left to Python: {left} of {spans} spans ({left / spans:.1%})", shares)
    assert spans > 1000
    assert left / spans < MOST_LEFT


def _recorded(file: Path, folder: Path) -> tuple[Any, list[Any]]:
    """Return the policy under which the spans of a dump were redacted, and their raw records."""
    found: dict[int, Any] = {}
    policies: list[Any] = []
    of, redact = SpanLines.of, Redactor.redact_span

    def seen(redactor: Redactor, record: Any) -> None:
        if record["end_ns"] and "runbundle.redaction" not in record["attributes"]:
            found.setdefault(id(record), (record, {**copy.deepcopy(record), "scope": record["scope"]}))
            policies.append(redactor.policy)

    def line(lines: SpanLines, record: Any) -> RecordLine:
        seen(lines._redactor, record)
        return of(lines, record)

    def redacted(redactor: Redactor, record: Any, **more: Any) -> Any:
        seen(redactor, record)
        return redact(redactor, record, **more)

    folder.mkdir()
    with mock.patch.object(SpanLines, "of", line), mock.patch.object(Redactor, "redact_span", redacted):
        replayed(dumps.load(file), "code", folder)
    return policies[0], [record for _, record in found.values()]
