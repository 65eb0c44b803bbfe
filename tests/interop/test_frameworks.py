"""Frameworks as they are, offline, in environments of their own: each cell of the coverage table is right.

All applications run as processes, two at a time, when the first of these tests asks for one. `tests.interop.coverage`
makes the table of the same runs.
"""

from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from tests.interop import dumps
from tests.interop.cells import CELLS, spans_of
from tests.interop.combinations import BY_NAME, COMBINATIONS, Combination
from tests.interop.coverage import MODES, real
from tests.interop.golden import fresh
from tests.interop.reading import Reading
from tests.interop.same import evidence_of, tool_calls_of
from tests.interop.stub import Stub

_EACH = [pytest.param(combination, id=combination.name) for combination in COMBINATIONS]
_SAME = ("openai_agents", "langgraph")


class Runs:
    """The runs of all applications, each made once."""

    def __init__(self, folder: Path, url: str) -> None:
        self.folder = folder
        self._pool = ThreadPoolExecutor(2)
        self._jobs: dict[tuple[str, str], Future[Any]] = {}
        for combination in COMBINATIONS:
            for mode in MODES:
                place = self.place(combination, mode)
                self._jobs[combination.name, mode] = self._pool.submit(real, combination, mode, place, url)
            place = self.place(combination, "dump")
            self._jobs[combination.name, "dump"] = self._pool.submit(fresh, combination, place, url)

    def place(self, combination: Combination, mode: str) -> Path:
        """Return the folder of one run."""
        return self.folder / f"{combination.name}-{mode}"

    def reading(self, combination: Combination, mode: str) -> Reading:
        """Return what the bundles of a run say."""
        return self._jobs[combination.name, mode].result()

    def dump(self, combination: Combination) -> dumps.Dump:
        """Return what a framework emitted without us."""
        return self._jobs[combination.name, "dump"].result()

    def close(self) -> None:
        """Begin no further run."""
        self._pool.shutdown(cancel_futures=True)


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Runs]:
    """Run all applications, while the tests go through them."""
    with Stub() as stub:
        made = Runs(tmp_path_factory.mktemp("frameworks"), stub.url)
        yield made
        made.close()


@pytest.mark.parametrize("cell", CELLS)
@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("combination", _EACH)
def test_every_cell_of_the_table_has_what_the_application_did(
    runs: Runs, combination: Combination, mode: str, cell: str
) -> None:
    """Bundles, spans, calls, contract, agents, usage, names, verdict: in code and by zero code."""
    spans = spans_of(combination, dumps.load(combination.golden))
    assert CELLS[cell](combination, runs.reading(combination, mode), spans).wrong == ""


def test_canaries_were_looked_for_before_the_seal_too(runs: Runs) -> None:
    """Journals of open runs were met in code and by zero code, or the search of them would say nothing."""
    for mode in MODES:
        assert sum(runs.reading(combination, mode).journals for combination in COMBINATIONS) > 0, mode


@pytest.mark.parametrize("combination", _EACH)
def test_an_upgrade_that_changes_a_dialect_is_seen(runs: Runs, combination: Combination) -> None:
    """A framework emits the keys of its golden dump; after a look at the change, `tests.interop.golden` writes it."""
    assert dumps.dialect(runs.dump(combination)) == dumps.dialect(dumps.load(combination.golden))


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("application", _SAME)
def test_the_same_agent_has_the_same_tool_calls_whoever_instrumented_it(
    runs: Runs, application: str, mode: str
) -> None:
    """But for ids and times, and for the digests of payloads that a dialect shortens."""
    said = {
        dialect: tool_calls_of(runs.place(BY_NAME[f"{application}.{dialect}"], mode))
        for dialect in ("genai", "openinference", "openllmetry")
        if runs.reading(BY_NAME[f"{application}.{dialect}"], mode)
    }
    assert said["genai"] == said["openinference"] == said["openllmetry"]


@pytest.mark.parametrize("mode", MODES)
def test_the_same_graph_has_the_same_evidence_whoever_instrumented_it(runs: Runs, mode: str) -> None:
    """The query, the number and order of documents, and what two dialects both emit of a document."""
    said = [
        evidence_of(runs.place(BY_NAME[f"langgraph.{dialect}"], mode))
        for dialect in ("genai", "openinference", "openllmetry")
        if runs.reading(BY_NAME[f"langgraph.{dialect}"], mode)
    ]
    assert [(one.queries, one.counts) for one in said] == [(said[0].queries, [2])] * 3
    assert len(said[0].queries) == 1
    for field in ("id", "score", "digest"):
        emitted = [values for one in said if any(values := one.fields[field])]
        assert all(values == emitted[0] for values in emitted), field
