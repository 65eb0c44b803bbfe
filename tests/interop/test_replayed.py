"""Golden dumps of every version, replayed in this process: tables read them without the frameworks."""

import gzip
from pathlib import Path

import pytest

from tests.interop import dumps
from tests.interop.cells import CELLS, spans_of
from tests.interop.combinations import COMBINATIONS, Combination
from tests.interop.coverage import MODES, PAGE, replayed
from tests.interop.environments import REQUIREMENTS
from tests.interop.reading import KEY

_EACH = [
    pytest.param(combination, file, id=file.name.removesuffix(".json.gz"))
    for combination in COMBINATIONS
    for file in combination.goldens
]


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize(("combination", "file"), _EACH)
def test_the_bundles_of_a_dump_say_what_the_application_did(
    combination: Combination, file: Path, mode: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In code and through exporters; the verdict of an exporter alone is left out."""
    monkeypatch.setenv("RUNBUNDLE_REDACTION_KEY", KEY.decode())
    dump = dumps.load(file)
    reading = replayed(dump, mode, tmp_path)
    cells = {name: cell(combination, reading, spans_of(combination, dump)) for name, cell in CELLS.items()}
    assert {name: cell.wrong for name, cell in cells.items() if cell.wrong} == {}


def test_every_combination_has_a_dump_of_the_versions_that_are_pinned() -> None:
    """Others are of frameworks that have no application here."""
    assert [combination.name for combination in COMBINATIONS if not combination.golden.exists()] == []


def test_a_pinned_file_holds_versions_and_nothing_of_where_they_are_from() -> None:
    """Each line is a package and its version."""
    for file in REQUIREMENTS.glob("*.txt"):
        for line in file.read_text().splitlines():
            assert "==" in line, (file.name, line)
            assert "//" not in line, (file.name, line)


def test_no_dump_names_the_machine_that_made_it() -> None:
    """Folders of environments and checkouts are put in order. `/lib/` is in every environment."""
    folders = {f"/{folder.name}/" for folder in Path("/").iterdir() if folder.is_dir()} - {"/lib/"}
    folders |= {f"/{name}/" for name in ("home", "root", "tmp", "Users")}
    for file in dumps.FOLDER.iterdir():
        text = gzip.decompress(file.read_bytes()).decode()
        for folder in folders:
            assert folder not in text, (file.name, folder)


def test_the_page_has_a_row_for_each_combination_with_its_versions() -> None:
    """The table of docs/frameworks.md is made by `python -m tests.interop.coverage --write`."""
    page = PAGE.read_text()
    for combination in COMBINATIONS:
        versions = ", ".join(f"{package} {version}" for package, version in combination.versions.items())
        assert f"{combination.application}, {combination.dialect} ({versions})" in page
