"""Versions of installed packages."""

import contextlib
import subprocess
import sys
import zipfile
from importlib import metadata
from pathlib import Path
from typing import Any

import pytest

from runbundle.process import installed


def _asked(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Return what `importlib.metadata` is asked from now on."""
    asked: list[str] = []
    known = metadata.version
    monkeypatch.setattr(metadata, "version", lambda name: (asked.append(name), known(name))[1])
    return asked


def version_of(distribution: str) -> str | None:
    """Return what is said of a distribution; None if it is not there, or what is there says no version."""
    try:
        return installed.version(distribution)
    except (installed.PackageNotFoundError, ValueError):
        return None


def _install(folder: Path, name: str, text: str, file: str = "METADATA") -> None:
    (folder / name).mkdir(parents=True)
    (folder / name / file).write_text(text)


def test_every_installed_package_has_the_version_that_importlib_says(monkeypatch: pytest.MonkeyPatch) -> None:
    """By any spelling of its name; and that module need not be asked."""
    known = {each.metadata["Name"]: metadata.version(each.metadata["Name"]) for each in metadata.distributions()}
    asked = _asked(monkeypatch)
    assert {name: version_of(name) for name in known} == known
    assert version_of("OpenTelemetry.SDK") == known["opentelemetry-sdk"]
    assert (version_of("ai-agents-that-nobody-has"), asked) == (None, [])


@pytest.mark.parametrize(
    ("name", "file", "text"),
    [
        ("odd_one-1.0.egg-info", "PKG-INFO", "Name: odd-one\nVersion: 1.0\n"),
        ("odd_one-1.0.dist-info", "METADATA", "Name: odd-one\nVersion:\n 1.0\n"),
        ("odd_one-1.0.dist-info", "METADATA", "Name: odd-one\n\nVersion: 1.0\n"),
        ("odd_one-1.0.dist-info", "METADATA", "Name: odd-one\nVersion: 1.0\n folded\n"),
        ("odd_one-1.0.dist-info", "OTHER", ""),
    ],
)
def test_metadata_of_another_form_is_left_to_importlib(
    name: str, file: str, text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever that makes of it."""
    _install(tmp_path, name, text, file)
    monkeypatch.syspath_prepend(str(tmp_path))
    asked = _asked(monkeypatch)
    said = version_of("odd-one")
    assert asked == ["odd-one"]
    expected: Any = None
    with contextlib.suppress(metadata.PackageNotFoundError, ValueError):
        expected = metadata.version("odd-one")
    assert said == expected


def test_what_is_found_twice_in_a_zip_file_or_by_a_hook_is_left_to_importlib(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """There the order decides, or what cannot be listed."""
    asked = _asked(monkeypatch)
    for number in "12":
        _install(tmp_path / "twice", f"two_of-{number}.0.dist-info", f"Name: two-of\nVersion: {number}.0\n")
    monkeypatch.syspath_prepend(str(tmp_path / "twice"))
    assert version_of("two-of") == metadata.version("two-of")
    with zipfile.ZipFile(tmp_path / "zipped.zip", "w") as file:
        file.writestr("in_zip-3.0.dist-info/METADATA", "Name: in-zip\nVersion: 3.0\n")
    monkeypatch.syspath_prepend(str(tmp_path / "zipped.zip"))
    assert version_of("in-zip") == "3.0"
    monkeypatch.undo()
    asked = _asked(monkeypatch)

    class Hook:
        find_distributions = metadata.MetadataPathFinder.find_distributions

    monkeypatch.setattr(sys, "meta_path", [*sys.meta_path, Hook])
    assert version_of("opentelemetry-sdk") == metadata.version("opentelemetry-sdk")
    assert "opentelemetry-sdk" in asked


def test_the_first_on_the_path_counts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As for importlib."""
    _install(tmp_path, "runbundle-9.9.dist-info", "Name: runbundle\nVersion: 9.9\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    assert version_of("runbundle") == metadata.version("runbundle") == "9.9"


def test_a_version_is_read_without_what_reads_mail() -> None:
    """It is a large part of what a first run would load."""
    program = (
        "import sys; from runbundle.process.installed import version; version('opentelemetry-sdk');"
        "print([n for n in ('email', 'importlib.metadata') if n in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
    assert installed.version("opentelemetry-sdk")
