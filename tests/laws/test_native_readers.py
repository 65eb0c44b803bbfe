"""Whatever bytes the native core reads, it says something, soon, and has no fault."""

import pytest

from runbundle.core import native
from tests.fuzz.native_readers import CORPUS, look, read

pytestmark = pytest.mark.skipif(native.module() is None, reason="the native core is not installed: make native")


def test_hostile_bytes_are_left_to_python() -> None:
    """Journals, events and calls, damaged byte by byte, with what stands in others."""
    look(12_000, seed=1)


@pytest.mark.parametrize("name", ["journal-plain.jsonl", "events-plain.jsonl", "calls-plain.json"])
def test_the_inputs_themselves_are_taken(name: str) -> None:
    """So damage reaches all of the reader, and not its first line alone."""
    said = read(name, (CORPUS / name).read_bytes())
    assert not isinstance(said[0], str)
