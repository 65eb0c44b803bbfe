"""ARCHITECTURE.md says what the code does, as far as it lists things."""

import re
import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "ARCHITECTURE.md").read_text()


def test_its_layers_are_those_that_are_checked() -> None:
    """In the same order; every package and module of the root is in one, or a room of the table."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    checked = [layer.replace("runbundle.", "") for layer in project["tool"]["importlinter"]["contracts"][0]["layers"]]
    shown = re.search(r"<!-- layers.*?```\n(.*?)```", PAGE, re.DOTALL)
    assert shown is not None
    assert shown[1].split("\n")[:-1] == checked
    named = {name for layer in checked for name in layer.split(" | ")}
    there = {path.parent.name for path in (ROOT / "src" / "runbundle").glob("*/__init__.py")}
    assert there <= named


def test_what_it_links_to_is_there() -> None:
    """Tests and pages; and every folder or module that it names in backticks."""
    for target in re.findall(r"\]\(([^)#]+)\)", PAGE):
        assert (ROOT / target).is_file(), target
    for name in re.findall(r"`((?:otel|bundle|recording|journal|codec|redaction|store|process)/[a-z_/]+)`", PAGE):
        place = ROOT / "src" / "runbundle" / name
        assert place.with_suffix(".py").is_file() or place.is_dir(), name
