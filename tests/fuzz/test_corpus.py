"""The inputs that fuzzing has found, in every run: ten minutes of search are not repeated, their results are."""

from tests.fuzz.fuzz_detector import check, corpus


def test_the_inputs_that_fuzzing_found() -> None:
    """Each is handled: in full, idempotently, as text and as a kept value, with a receipt that can be read."""
    inputs = corpus()
    assert len(inputs) > 500
    for data in inputs:
        check(data)
