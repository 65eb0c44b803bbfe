"""What the fixture `runbundle_gate` gives a test: the runs that it recorded, judged against a baseline by a policy."""

import getpass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from runbundle.bundle.catalog.keys import list_keys
from runbundle.bundle.custody import baselines
from runbundle.bundle.custody.transfer import copy
from runbundle.bundle.reader import Bundle
from runbundle.compare.gating.loading import load_policy
from runbundle.compare.gating.made import make_gate, named_baseline
from runbundle.compare.gating.told import lines_of
from runbundle.errors import ConfigError
from runbundle.process.printable import printable
from runbundle.settings import variable
from runbundle.store import from_url
from runbundle.store.url import require_there

if TYPE_CHECKING:
    from runbundle.format.evaluation import Gate
    from runbundle.store import ArtifactStore
    from runbundle.testing.assertions import RecordedRuns


class GatedRuns:
    """The gate over the runs that a test has recorded so far. It is called; no gate is stored, and no look counted.

    With `pytest --runbundle-baseline REASON` it judges nothing: it copies the runs into the store of the baseline, and
    adds an entry with them.
    """

    def __init__(self, recorded: "RecordedRuns", root: Path, *, reason: str = "") -> None:
        """`root`: the folder from which relative paths count. `reason`: why the runs become a baseline; "" if not."""
        self._recorded, self._root, self._reason = recorded, root, reason

    def __call__(
        self, policy: str | Path, baseline: str | Path = "", *, store: str | Path | None = None,
        inconclusive: Literal["fail", "skip"] = "fail",
    ) -> "Gate | None":  # fmt: skip
        """Assert that the runs pass the policy's gate, and return the gate; None if they became a baseline.

        `baseline`: the name of a baseline of `store`, or a folder or URL of a store, all of whose runs are taken; empty
        for none. `store`: by default `RUNBUNDLE_STORE`, else `.runbundle`. Relative paths count from pytest's root. The
        assertion says what `runbundle gate` prints. `inconclusive="skip"` skips the test where the runs decide nothing.
        Raises `ConfigError` for a mistake in the policy or a baseline that is not there.
        """
        __tracebackhide__ = True
        name = str(baseline)
        place = self._store(store if store is not None else variable("RUNBUNDLE_STORE") or ".runbundle")
        runs = self._recorded.runs
        assert runs, "no run was recorded: was the agent called, is it in start_run() or decorated, has it ended?"
        keys = [run.key for run in runs]
        if self._reason:
            self._keep(place, name, keys)
            return None
        loaded = load_policy(self._root / policy)
        candidate = [(self._recorded.handle.store, key) for key in keys]
        before = [] if not name else named_baseline(place, name) or self._all_runs(name)
        gate = make_gate(loaded, place, before, candidate, write=False)
        if gate.verdict != "pass":
            text = "\n".join(printable("".join(parts)) for parts in lines_of(gate))
            if gate.verdict == "inconclusive" and inconclusive == "skip":
                import pytest

                pytest.skip(text)
            raise AssertionError(text)
        return gate

    def _store(self, url: str | Path) -> "ArtifactStore":
        text = str(url)
        return from_url(text if "://" in text else str(self._root / text))

    def _all_runs(self, name: str) -> "list[tuple[ArtifactStore, str]]":
        store = self._store(name)
        if "://" not in name and not (self._root / name).is_dir():
            raise ConfigError(
                f"there is no baseline {name[:120]}, and no folder of that name",
                hint=f"pytest --runbundle-baseline 'why' adds the runs of the tests to {name[:60]}",
            )
        require_there(store)
        return [(store, key) for key in list_keys(store)]

    def _keep(self, store: "ArtifactStore", name: str, keys: list[str]) -> None:
        baselines.checked_name(name)
        for key in keys:
            result = copy(self._recorded.handle.store, key, store)
            assert result.outcome in ("copied", "present"), f"{key} was not copied: {'; '.join(result.problems)}"
        bundles = [Bundle.open(store, key) for key in keys]
        baselines.add(store, name, bundles, by=getpass.getuser(), reason=self._reason)
