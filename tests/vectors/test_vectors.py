"""Every core gives what was recorded. A vector that differs is named, with the place and with what to run."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import pytest

from tests.vectors import record
from tests.vectors.core import CORES, PYTHON, VENDORS, Core, Record, bare_rules, credentials_in
from tests.vectors.form import (
    FOLDER,
    LAWS,
    REDACTION,
    SHARED,
    SPLIT,
    VECTORS,
    Vector,
    by_id,
    decoded,
    differences,
    dumped,
    encoded,
    filled,
    parsed,
    read,
    shared,
)
from tests.vectors.generate.credentials import FORMATS
from tests.vectors.replay import answered, asked

SHARED_PARTS = shared()
POLICIES = SHARED_PARTS["policies"]
RECORDED = {name: read(name) for name in VECTORS}
EVERY = [vector for name in VECTORS for vector in RECORDED[name]]
MOST_SHOWN = 20


@pytest.fixture(autouse=True)
def _bare() -> Iterator[None]:
    """Whatever extras are installed, the built-in rules are what is recorded."""
    with bare_rules():
        yield


Made = tuple[dict[str, list[Vector]], dict[str, str]]


@pytest.fixture(scope="module")
def made() -> Made:
    """All vectors, and the texts of their files, as the command makes them."""
    return record.files(PYTHON)


def report(core: Core, vectors: list[Vector]) -> str:
    """Return what differs between what was recorded and what a core gives, "" if nothing."""
    found = list(record.changes(vectors, [answered(core, asked(vector), POLICIES) for vector in vectors]))
    if not found:
        return ""
    lines = [f"{len(found)} of {len(vectors)} vectors differ:", *map(str, found[:MOST_SHOWN])]
    return "\n".join([*lines, f"if they are meant to, record them anew: {record.COMMAND}"])


@pytest.mark.parametrize("core", CORES, ids=lambda core: core.name)
@pytest.mark.parametrize("name", VECTORS)
def test_every_core_gives_what_was_recorded(core: Core, name: str) -> None:
    """The redacted records, their receipts, and the bytes of every file."""
    differing = report(core, RECORDED[name])
    assert not differing, differing


def test_the_command_makes_the_same_files_again(made: Made) -> None:
    """Nothing in them is drawn anew: no clock, no host, no other version of Python, no extra."""
    vectors, texts = made
    for name, text in texts.items():
        differing = [str(change) for change in record.changes(RECORDED.get(name, ()), vectors.get(name, ()))]
        same = text == (FOLDER / name).read_text("ascii")
        assert same, "\n".join([f"{name} differs: {record.COMMAND}", *differing[:MOST_SHOWN]])


def test_there_are_two_thousand_and_each_has_a_name() -> None:
    """Their files are small, and no two have one name."""
    assert len(EVERY) >= 2000
    assert len(by_id(EVERY)) == len(EVERY)
    size = sum((FOLDER / name).stat().st_size for name in (SHARED, *VECTORS))
    assert size <= 2_500_000  # each key of a table adds a vector, and those of the dialects are 500


def test_no_file_holds_what_looks_like_a_credential() -> None:
    """As it lies there: the parts are joined where vectors are read."""
    assert sorted(FORMATS) == sorted(VENDORS), "each vendor's format has an example"
    for name in (SHARED, *VECTORS):
        text = (FOLDER / name).read_text("ascii")
        assert (SPLIT in text) == (name in (REDACTION, LAWS))
        assert [found for line in text.splitlines() for found in credentials_in(line, formats=True)] == []


def answers(vector: Vector) -> str:
    """Return all that a vector says was answered, as text in which JSON in text can be read."""
    found = [vector.get("files"), *[whole(step) for step in vector.get("steps", ()) if "secrets" not in step]]
    return json.dumps(found, separators=(",", ":"), ensure_ascii=False).replace('\\"', '"').replace('\\\\"', '"')


def whole(step: dict[str, Any]) -> tuple[Any, Any]:
    """Return a whole redacted record, with the fields that are as they were given, and its receipt."""
    kind = "span" if "span" in step else "log"
    return {**filled(kind, step[kind]), **step["out"]}, step["receipt"]


@pytest.mark.parametrize("vector", RECORDED[LAWS], ids=lambda vector: vector["id"])
def test_what_was_recorded_holds_the_law(vector: Vector) -> None:
    """Each law has a sentence, and is kept by what was recorded: recording anew breaks none of them."""
    assert vector["law"].endswith(".")
    said = answers(vector)
    assert [text for text in vector.get("never", ()) if text in said] == []
    assert [text for text in vector.get("kept", ()) if text not in said] == []
    if "same_as" in vector:
        assert vector["files"] == by_id(RECORDED[LAWS])[vector["same_as"]]["files"]


@pytest.mark.parametrize("core", CORES, ids=lambda core: core.name)
def test_a_redacted_record_redacted_again_is_the_same(core: Core) -> None:
    """Of all that are recorded, in the order of their runs. What the receipt says the second time is not asked."""
    for vector in EVERY:
        for before, after in twice(core, vector) if "steps" in vector else ():
            found = next(differences(encoded(before), encoded(after)), None)
            assert found is None, f"{vector['id']} at {found}"


@pytest.mark.parametrize("core", CORES, ids=lambda core: core.name)
def test_the_order_of_lines_changes_no_file(core: Core) -> None:
    """Lines that are read backwards make the same bundle, if none was cut off within a line."""
    for vector in EVERY:
        lines = vector.get("lines", [])
        if lines and all(line.endswith("\n") for line in lines if isinstance(line, str)):
            backwards = answered(core, {**asked(vector), "lines": lines[::-1]}, POLICIES)
            assert next(record.changes([{**vector, "lines": lines[::-1]}], [backwards]), None) is None


def twice(core: Core, vector: Vector) -> Iterator[tuple[Record, Record]]:
    """Yield each redacted record of a vector, and what the same core makes of it."""
    state = core.begin(POLICIES[vector["policy"]])
    core.know(state, decoded(vector.get("secrets", [])))
    for step in vector["steps"]:
        if "secrets" in step:
            core.know(state, decoded(step["secrets"]))
            continue
        kind, redact = ("span", core.redact) if "span" in step else ("log", core.redact_log)
        once, receipt = redact(state, filled(kind, decoded(step[kind])))
        again, _ = redact(state, {**once, "attributes": {**once["attributes"], "runbundle.redaction": receipt}})
        yield once, again


# -- a test of these tests ---------------------------------------------------------------------------------------------


def leaves(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Yield the paths of all single values in a JSON value."""
    if isinstance(value, dict | list):
        items = cast("Any", value.items() if isinstance(value, dict) else enumerate(cast("list[Any]", value)))
        for key, item in items:
            yield from leaves(item, (*path, key))
    else:
        yield path


def spoilt(vector: Vector, path: tuple[Any, ...]) -> Vector:
    """Return a copy of a vector in which one value is another."""
    copied = json.loads(json.dumps(vector))
    place = copied
    for key in path[:-1]:
        place = place[key]
    was = place[path[-1]]
    place[path[-1]] = f"{was}!" if isinstance(was, str) else {"was": was}
    return copied


def test_any_recorded_value_that_is_changed_is_named() -> None:
    """In every twentieth vector one value of an answer is changed: the report names the vector and the place."""
    for number, vector in enumerate(EVERY[::20]):
        places = [
            path
            for path in leaves(vector)
            if path[0] == "files" or (path[0] == "steps" and path[2] in ("out", "receipt"))
        ]
        path = places[number * 7 % len(places)]
        said = report(PYTHON, [spoilt(vector, path)])
        assert f"{vector['id']} at {'.'.join(map(str, path))}: recorded" in said
        assert record.COMMAND in said


def test_a_value_of_another_type_is_another() -> None:
    """1, 1.0 and true differ; so does the order of a receipt's keys, which is part of its bytes."""
    assert [path for path, *_ in differences({"a": [1, 2]}, {"a": [1.0, True]})] == ["a.0", "a.1"]
    assert list(differences({"x": {"n": 1, "by": 2}}, {"x": {"by": 2, "n": 1}})) == []
    assert [path for path, *_ in differences({"receipt": {"n": 1, "by": 2}}, {"receipt": {"by": 2, "n": 1}})] == [
        "receipt"
    ]


def test_what_json_cannot_say_is_read_back(tmp_path: Path) -> None:
    """Surrogates, bytes, large numbers, what is no number, keys that are no text, keys that look like a sign."""
    values = ["\ud800", b"\x00", 2**70, -(2**70), {5: 1}, {"$": 1}, {"$int": "5"}, {"a": [None, {"b": b""}]}]
    assert decoded(json.loads(dumped(encoded(values)))) == values
    assert str(decoded(encoded([float("nan"), float("-inf"), -0.0]))) == "[nan, -inf, -0.0]"


# -- the command -------------------------------------------------------------------------------------------------------


@pytest.fixture
def copied(tmp_path: Path, made: Made, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with the recorded files, in which one answer of a law is another; what is given is made once."""
    monkeypatch.setattr(record, "files", lambda _: made)
    for name in (SHARED, *VECTORS, record.CHANGES):
        (tmp_path / name).write_bytes((FOLDER / name).read_bytes())
    lines = (tmp_path / LAWS).read_text("ascii").splitlines(keepends=True)
    vector = parsed(lines[0])
    vector["steps"][0]["out"]["attributes"]["gen_ai.prompt"] = "as it was"
    lines[0] = record.line_of(vector)
    (tmp_path / LAWS).write_text("".join(lines), "ascii")
    return tmp_path


def test_what_differs_is_not_overwritten_without_a_reason(copied: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The command says what differs and where, and writes nothing."""
    before = {path.name: path.read_bytes() for path in copied.iterdir()}
    assert record.main([], copied) == 1
    said = capsys.readouterr()
    assert 'law-content at steps.0.out.attributes.gen_ai.prompt: recorded "as it was", given "[REDACTED:' in said.out
    assert record.COMMAND in said.err
    assert {path.name: path.read_bytes() for path in copied.iterdir()} == before


def test_with_a_reason_it_is_recorded_and_told(copied: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The files are those of the code again, and a line says why, and how many differ; a second time nothing does."""
    told = (copied / record.CHANGES).read_text().splitlines()
    assert record.main(["--reason", "prompts  are\nwithheld"], copied) == 0
    assert (copied / LAWS).read_bytes() == (FOLDER / LAWS).read_bytes()
    (line,) = (copied / record.CHANGES).read_text().splitlines()[len(told) :]
    assert "prompts are withheld (rules" in line
    assert "1 differ, 0 new, 0 gone, the first law-content at steps.0.out.attributes.gen_ai.prompt" in line
    assert record.main([], copied) == 0
    assert "nothing differs" in capsys.readouterr().out
