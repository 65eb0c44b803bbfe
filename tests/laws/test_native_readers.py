"""Whatever the native core reads, it says something, soon, has no fault, and takes nothing that Python refuses."""

import orjson
import pytest

from runbundle.bundle.assembly.natively import words
from runbundle.core import native
from tests.fuzz.native_readers import CORPUS, kept, look, read

pytestmark = pytest.mark.skipif(native.module() is None, reason="the native core is not installed: make native")


def test_hostile_bytes_are_left_to_python() -> None:
    """Journals, events and calls, damaged byte by byte, with what stands in others."""
    look(12_000, seed=1)


@pytest.mark.parametrize("name", ["journal-plain.jsonl", "events-plain.jsonl", "calls-plain.json"])
def test_the_inputs_themselves_are_taken(name: str) -> None:
    """So damage reaches all of the reader, and not its first line alone."""
    said = read(name, (CORPUS / name).read_bytes())
    assert not isinstance(said[0], str)


@pytest.mark.parametrize(
    ("name", "part", "other"),
    [
        ("journal-plain.jsonl", b'"parent_span_id":"ffffffffffffffff",', b""),
        ("events-plain.jsonl", b'"seq":0,', b""),
        ("events-plain.jsonl", b'"time_ns":"', b'"time_ns":"+'),
        ("events-plain.jsonl", b'"time_ns":"', b'"time_ns":"0'),
    ],
)
def test_what_fuzzing_found_is_left_to_python(name: str, part: bytes, other: bytes) -> None:
    """A start that names no parent; a line without its number; a time with a sign, or a zero, before it."""
    data = (CORPUS / name).read_bytes()
    changed = data.replace(part, other, 1)
    assert changed != data
    assert isinstance(read(name, changed)[0], str)


@pytest.mark.parametrize("target", ["journal", "seal"])
def test_of_the_kept_journals_python_takes_what_the_core_takes(target: str) -> None:
    """Those that coverage-guided fuzzing has found; some of them are taken."""
    refused = [isinstance(read("journal", data)[0], str) for data in kept(target).values()]
    assert not all(refused)


def test_of_the_kept_texts_both_read_and_write_the_same() -> None:
    """What the core takes for JSON is the value that it is for Python; what it says is none is none."""
    module = native.module()
    for name, data in kept("json").items():
        try:
            text = data.decode()
        except UnicodeDecodeError:
            continue
        said = module.sorted_json(text)
        if said is True:
            with pytest.raises(orjson.JSONDecodeError):
                orjson.loads(text)
        elif said is not None:
            assert said == orjson.dumps(orjson.loads(text), option=orjson.OPT_SORT_KEYS), name


def test_of_the_kept_bundles_the_core_says_something() -> None:
    """Its reader of events and calls has no fault on any of them."""
    for data in kept("bundle").values():
        read("events", data.split(b"\0")[0])


def test_the_fuzz_targets_know_the_words_of_the_package() -> None:
    """They read them from a file, which is written anew if this fails: the assertion says what it has to hold."""
    held = orjson.loads((CORPUS.parent / "fuzz" / "words.json").read_bytes())
    assert held == orjson.loads(orjson.dumps(words()))
