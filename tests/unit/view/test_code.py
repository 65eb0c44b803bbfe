"""The page's code: what it must not contain, how it is sent, and how much it is."""

import re
import shutil
import subprocess
from importlib import resources
from pathlib import Path

import pytest

from runbundle.view.code import FILES, MODULES, one_script, static_file

STATIC = resources.files("runbundle.view").joinpath("static")
SOURCES = {name: STATIC.joinpath(f"{name}.js").read_text() for name in MODULES}


def test_nothing_parses_markup_or_runs_text() -> None:
    """Names and payloads become text nodes; there is no way for them to become anything else."""
    ways = (
        r"innerHTML|outerHTML|insertAdjacent|document\.write|createContextualFragment|DOMParser|\beval\(|new Function"
    )
    for name, code in SOURCES.items():
        assert re.findall(ways, code) == [], name
        assert re.findall(r"\b(?:https?:)?//[a-z]", re.sub(r"https\?:\\/\\/", "", code)) == [], name
    page = STATIC.joinpath("index.html").read_text()
    assert re.findall(r" on[a-z]+=| style=|<script>", page) == []


def test_every_module_is_listed_after_those_it_imports() -> None:
    """So that all of them can be one script."""
    assert {path.name.removesuffix(".js") for path in STATIC.iterdir() if path.name.endswith(".js")} == set(MODULES)
    for number, name in enumerate(MODULES):
        imported = re.findall(r'from "\./(\w+)\.js"', SOURCES[name])
        assert set(imported) <= set(MODULES[:number]), name
        assert len(imported) == SOURCES[name].count("import {"), name


def test_no_two_modules_use_one_name_at_their_top() -> None:
    """They are sent as one script, one after the other."""
    names = [
        name for code in SOURCES.values()
        for name in re.findall(r"^(?:export )?(?:async )?(?:const|let|function|class) (\w+)", code, re.MULTILINE)
    ]  # fmt: skip
    assert sorted(names) == sorted(set(names))
    assert not any(re.findall(r"^(?:const|let) [\[{]", code, re.MULTILINE) for code in SOURCES.values())


@pytest.mark.skipif(shutil.which("node") is None, reason="there is no node")
def test_what_is_sent_is_the_same_program(tmp_path: Path) -> None:
    """Without comments and needless space each is still a module, and all are one script."""
    for name in MODULES:
        path = tmp_path / f"{name}.mjs"
        path.write_text(SOURCES[name])
        subprocess.run(["node", "--check", path], check=True)
    (tmp_path / "one.js").write_text(one_script())
    subprocess.run(["node", "--check", tmp_path / "one.js"], check=True)
    assert "import" not in re.findall(r"^\w+", one_script(), re.MULTILINE)
    assert "export " not in one_script()
    assert "</script" not in one_script()
    assert "<!--" not in one_script()


def test_the_page_is_sixty_kilobytes_at_most() -> None:
    """All that is sent of it is counted: the page, the style sheet and the script, as they are sent, not compressed."""
    sent = {name: len(static_file(name) or b"") for name in FILES}
    assert sum(sent.values()) <= 60_000, sent


def test_no_other_file_is_sent() -> None:
    """Neither a source of the server, nor a name with a path in it."""
    for name in ("app.py", "../app.py", "main.js", "page.ts", ".js", "a/page.js", "PAGE.JS", "", "page.js\0"):
        assert static_file(name) is None
