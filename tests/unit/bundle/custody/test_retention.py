"""What may go goes whole, what is held stays, and a removal that is cut off is finished by the next."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from click.testing import CliRunner

from runbundle import ConfigError, StoreUnavailable
from runbundle.bundle.custody.holds import hold, hold_of, release
from runbundle.bundle.custody.retention import parse_age, plan, remove
from runbundle.bundle.verify import verify
from runbundle.cli.main import group
from runbundle.store import ArtifactStore, LocalStore, MemoryStore
from tests.support.handmade import KEY, build, dump, files, index

NOW = datetime(2027, 2, 1, tzinfo=UTC)


def filled(store: ArtifactStore, *days: int, year: int = 2027) -> ArtifactStore:
    """Put a bundle that ended on each of these days of January into a store, named by its day."""
    for day in days:
        run = index(files()) | {"run_id": f"d{day}", "ended_at": f"{year}-01-{day:02d}T08:00:00.000000000Z"}
        for path, data in files().items():
            store.put(f"d{day}/{path}", data)
        store.put(f"d{day}/run.json", dump(run))
    return store


def actions(store: ArtifactStore, **options: object) -> dict[str, str]:
    """Return what the plan says of each bundle."""
    settings = {"older_than": None, "keep_last": 0} | options
    return {v.key: v.action for v in plan(store, now=NOW, **settings)}  # type: ignore[arg-type]


def test_age_and_number_both_protect() -> None:
    """Only what is older than the age and not among the newest may go."""
    store = filled(MemoryStore(), 1, 10, 20, 30)
    assert actions(store, older_than=timedelta(days=10)) == {
        "d30": "recent", "d20": "remove", "d10": "remove", "d1": "remove",
    }  # fmt: skip
    assert actions(store, older_than=timedelta(days=10), keep_last=2)["d20"] == "last"
    assert list(actions(store, keep_last=3).values()) == ["last", "last", "last", "remove"]


def test_a_hold_protects_and_does_not_touch_the_core() -> None:
    """A held bundle verifies, stays, and goes once it is released; holding twice keeps the first reason."""
    store = build()
    before = store.get(f"{KEY}/run.json")
    first = hold(store, KEY, "case 1", now=NOW)
    assert hold(store, KEY, "case 2") == first == hold_of(store, KEY)
    assert verify(store, KEY).verdict == "unchanged"
    assert actions(store) == {KEY: "held"}
    assert remove(store, KEY) is False
    assert store.get(f"{KEY}/run.json") == before
    release(store, KEY)
    assert remove(store, KEY) is True
    assert list(store.list()) == []


def test_an_unsealed_bundle_is_never_removed() -> None:
    """A folder without run.json, or with one that does not parse, may be all there is of a run."""
    store = filled(MemoryStore(), 1)
    store.put("open/events.jsonl", b"")
    store.put("bad/run.json", b"{")
    assert actions(store) == {"d1": "remove", "bad": "unreadable", "open": "unsealed"}


def test_a_removal_cut_off_anywhere_leaves_no_half_bundle() -> None:
    """After a failure at each step readers see all of the bundle or none, and the next removal finishes it."""
    steps = len(files()) + 3

    class Failing(MemoryStore):
        left = 0

        def delete(self, key: str) -> None:
            """Fail when the allowance is used up."""
            if self.left == 0:
                raise StoreUnavailable("no network")
            self.left -= 1
            super().delete(key)

    for allowed in range(steps):
        store = Failing()
        build(store)
        store.left = allowed
        try:
            remove(store, KEY)
        except StoreUnavailable:
            report = verify(store, KEY)
            assert {f.code for f in report.findings} <= {"RB105"} or store.exists(f"{KEY}/run.json")
            store.left = 100
            assert actions(store)[KEY] == "remove"
            remove(store, KEY)
        assert list(store.list()) == []


@pytest.mark.parametrize("text", ["", "d", "10", "-1d", "1y", "1.5d", "9999999d"])
def test_text_that_is_no_age_is_refused(text: str) -> None:
    """A clear error, with an example."""
    with pytest.raises(ConfigError, match="30d"):
        parse_age(text)


def test_gc_and_hold_do_what_they_print(tmp_path: Path) -> None:
    """A dry run removes nothing; what is on hold stays; each says what it did."""
    store = filled(LocalStore(tmp_path), 1, 2, 3, year=2025)

    def cli(*arguments: str) -> tuple[int, str]:
        result = CliRunner().invoke(group, [*arguments, "--store", str(tmp_path)])
        return result.exit_code, result.output

    assert cli("gc")[0] == 2
    assert cli("hold", "d1", "--reason", "case 1")[0] == 0
    code, output = cli("gc", "--older-than", "1h", "--keep-last", "1", "--dry-run")
    assert (code, "1 bundle would be removed" in output, "1 on hold" in output) == (0, True, True)
    assert sorted(store.list_dirs()) == ["d1", "d2", "d3"]
    code, output = cli("gc", "--older-than", "1h", "--keep-last", "1", "--yes")
    assert (code, "1 bundle removed" in output) == (0, True)
    assert sorted(store.list_dirs()) == ["d1", "d3"]
    assert cli("hold", "d3")[0] == 1
    assert "case 1" in cli("hold", "d1")[1]
    assert cli("hold", "d1", "--release")[0] == 0
    assert '"hold": null' in cli("hold", "d1", "--format", "json")[1]
