"""The fuzz targets hold for all inputs that are kept, and for some thousands that are made of them."""

import subprocess
from pathlib import Path

import pytest

from tests.fuzz.native_targets import NAMES, Missing, built, command

_RUNS = 50_000
_MOST_S = 7


@pytest.fixture(scope="module")
def targets() -> Path:
    """The folder of the targets, which are built unless that was done."""
    try:
        return built()
    except Missing as missing:
        pytest.skip(str(missing))


@pytest.mark.parametrize("name", NAMES)
def test_no_input_breaks_a_law(targets: Path, name: str, tmp_path: Path) -> None:
    """Neither one that is kept nor one that follows from these in a few seconds; the same ones each time."""
    told = command(targets, name, tmp_path, f"-runs={_RUNS}", f"-max_total_time={_MOST_S}", "-seed=1")
    done = subprocess.run(told, capture_output=True, text=True, errors="replace", check=False)
    assert done.returncode == 0, done.stderr[-4000:]
    assert "stat::number_of_executed_units" in done.stderr
