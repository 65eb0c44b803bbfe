"""The inputs that fuzzing has found, in every run: ten minutes of search are not repeated, their results are."""

from pathlib import Path

import pytest

from tests.fuzz.fuzz_detector import check

CORPUS = sorted((Path(__file__).parent / "corpus").iterdir())


@pytest.mark.parametrize("path", CORPUS, ids=lambda path: path.name)
def test_an_input_that_fuzzing_found(path: Path) -> None:
    """Total and idempotent, as text and as a kept value, with a receipt that can be read."""
    check(path.read_bytes())
