"""Lines of records of which a test gives only what it is about."""

from typing import Any

from runbundle.format.identity import RunKey
from runbundle.journal.lines import RecordLine, numbered, record_line


def bare_line(kind: str, record: Any) -> RecordLine:
    """Return the line of a record that need have nothing but a resource."""
    resource = numbered(record["resource"])
    return RecordLine(RunKey("", "r"), "a" * 32, resource, record_line(kind, record, resource.number))
