"""The package: its public names, its files, and what a bare install brings."""

import ast
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import runbundle

ROOT = Path(__file__).parents[2]


def test_public_names_are_frozen() -> None:
    """`__all__` is sorted, loads, and is what type checkers are told."""
    assert runbundle.__all__ == sorted(runbundle.__all__)
    for name in runbundle.__all__:
        assert getattr(runbundle, name).__doc__
    tree = ast.parse((ROOT / "src/runbundle/__init__.py").read_text())
    declared = {
        alias.name
        for node in ast.walk(tree) if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("runbundle.")
        for alias in node.names
    }  # fmt: skip
    assert declared == set(runbundle.__all__)


def test_the_wheel_holds_the_package_and_nothing_else(tmp_path: Path) -> None:
    """Typed marker, licence, entry points; no tests, no examples, no caches."""
    subprocess.run(
        [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(tmp_path), str(ROOT)],
        check=True, capture_output=True,
    )  # fmt: skip
    names = zipfile.ZipFile(next(tmp_path.glob("*.whl"))).namelist()
    assert "runbundle/py.typed" in names
    assert any(name.endswith("licenses/LICENSE") for name in names)
    assert all(name.startswith(("runbundle/", "runbundle-")) for name in names)
    sources = {str(p.relative_to(ROOT / "src")) for p in (ROOT / "src").rglob("*.py")}
    assert sources == {name for name in names if name.endswith(".py")}


def test_a_bare_install_is_small_and_everything_is_pinned() -> None:
    """Eight dependencies; every one of them, and of the tests, has a version in constraints.txt."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert len(project["dependencies"]) == 8
    pinned = {
        line.split("==")[0].lower().replace("_", "-") for line in (ROOT / "constraints.txt").read_text().split("\n")
    }
    extras = project["optional-dependencies"]
    for requirement in [
        *project["dependencies"],
        *(e for name, extra in extras.items() if name != "all" for e in extra),
    ]:
        name = requirement.split("[")[0]
        for sign in "<>=! ":
            name = name.split(sign)[0]
        assert name.lower().replace("_", "-") in pinned
    assert "://" not in (ROOT / "constraints.txt").read_text()


def test_no_private_attribute_of_a_span_is_touched() -> None:
    """The redactor works by public constructors; only the doctor asks for what has no public name."""
    for path in (ROOT / "src/runbundle").rglob("*.py"):
        for word in ("span._attributes", "._dict", "._immutable", "._readable_span", "span._events"):
            assert word not in path.read_text(), path
