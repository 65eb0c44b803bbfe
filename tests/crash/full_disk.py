"""Run by test_full_disk.py in a mount namespace of its own: a small disk fills up, is freed, becomes read-only."""

import resource
import subprocess
import sys
from pathlib import Path

from runbundle.bundle.catalog.locate import list_keys
from runbundle.store import LocalStore
from tests.crash.harness import Teller, Told, check
from tests.crash.programs import begin, one_run

_SMALL, _LARGE = "768k", "64m"


class Heard(Teller):
    """Hears itself what is said."""

    def __init__(self) -> None:
        super().__init__(-1)
        self.told = Told()

    def say(self, *words: str) -> None:
        """Take one line in."""
        self.told.take(" ".join(words))


class Disk:
    """A tmpfs of 768 KiB."""

    def __init__(self, place: Path) -> None:
        self.place = place
        place.mkdir()
        self._mount("-t", "tmpfs", "-o", f"size={_SMALL}", "tmpfs")

    def _mount(self, *arguments: str) -> None:
        subprocess.run(["mount", *arguments, str(self.place)], check=True)

    def free(self) -> None:
        """Make space."""
        self._mount("-o", f"remount,rw,size={_LARGE}")

    def read_only(self) -> None:
        """Let nothing be written any more."""
        self._mount("-o", "remount,ro")


class Limit(Disk):
    """Where nothing can be mounted: no file may be longer than 12 KB, then any, then none."""

    def _mount(self, *arguments: str) -> None:
        self._limit(12_000)

    def _limit(self, size: int) -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))

    def free(self) -> None:
        """Let files be of any length."""
        self._limit(resource.RLIM_INFINITY)

    def read_only(self) -> None:
        """Let files have no content."""
        self._limit(0)


def main(place: Path, mode: str) -> None:
    """Work on while the disk is full, free, read-only and writable again; count what is missing."""
    disk = Limit(place) if mode == "limit" else Disk(place)
    root, teller = place / "store", Heard()
    handle = begin(root)
    flushes = teller.told.flushes
    number = troubled = 0
    while troubled < 4:
        # Longer runs than a full disk holds: journals meet its end, and so do seals.
        one_run(teller, f"run{number}", turns=3)
        teller.flush()
        troubled += not number or bool(flushes[-1]["failed"]) or bool(flushes[-1]["dropped"])
        number += 1
        assert number < 1000, "the disk does not fill up"
    lost = sum(flushes[-1]["dropped"].values())
    assert lost, "no journal met the end of the disk"
    disk.free()
    one_run(teller, "freed", turns=3)
    teller.flush()
    assert flushes[-1]["sealed"][-1] == "freed"  # before it, those that waited for room
    assert sum(flushes[-1]["dropped"].values()) == lost
    disk.read_only()
    one_run(teller, "readonly", turns=1)
    teller.flush()
    records = len(teller.told.ends["readonly"]) + len(teller.told.logs["readonly"])
    assert sum(flushes[-1]["dropped"].values()) == lost + records
    disk.free()
    one_run(teller, "again", turns=3)
    teller.flush()
    assert "again" in flushes[-1]["sealed"]
    handle.shutdown()
    check(root, teller.told, dropped=lost + records)
    keys = set(list_keys(LocalStore(root)))
    assert {"freed", "again"} <= keys
    assert "readonly" not in keys
    print(f"{mode}: {number} runs until the disk was full, {lost} records lost there and {records} when read-only")


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2])
