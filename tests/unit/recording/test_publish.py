"""What was published is said: where, which claims collided, and how many credentials were masked."""

from pathlib import Path
from typing import Any

from runbundle.bundle.reader import Bundle
from runbundle.format.identity import RunKey
from runbundle.journal.spool import folder_of, spooled_runs
from runbundle.journal.writer import JournalWriter
from runbundle.recording.publish import publish
from runbundle.recording.results import Published
from runbundle.store import MemoryStore
from tests.support.record_lines import bare_line
from tests.support.records import record

RUN = RunKey("acme", "r")
SCOPE: Any = {"name": "x", "version": "", "schema_url": "", "attributes": {}}
TOKEN = "ghp_" + "Zq7Xw2Vt" * 4 + "Zq7X"


def journal(spool: Path, *names: str, writer: str = "w", span_id: str = "b" * 16, **attributes: Any) -> None:
    """Leave a journal with spans of the run, all of one id. `attributes` are added to theirs."""
    made = JournalWriter.open_in(folder_of(spool, RUN), writer)
    for name in names:
        span = record({"runbundle.op": "run", "runbundle.name": name, **attributes}, name)
        span |= {"run_id": RUN.run_id, "tenant_id": RUN.tenant_id, "trace_id": "a" * 32, "span_id": span_id}
        made.write(bare_line("span", span | {"events": [], "links": [], "scope": SCOPE}))
    made.close()


def test_a_published_run_says_where_its_bundle_is(tmp_path: Path) -> None:
    """Its tenant before it; its journals are gone then, and what is gone is not published again."""
    store = MemoryStore()
    journal(tmp_path, "work")
    assert publish(store, tmp_path, RUN, own="w") == Published("acme/r", {}, 0)
    assert store.exists("acme/r/run.json")
    assert spooled_runs(tmp_path) == []
    assert publish(store, tmp_path, RUN, own="w") is None


def test_a_published_run_says_which_claims_collided(tmp_path: Path) -> None:
    """Two spans of one id in two journals: one is kept, and the other counted."""
    store = MemoryStore()
    journal(tmp_path, "work", writer="w1")
    journal(tmp_path, "other", writer="w2")
    published = publish(store, tmp_path, RUN, own="w")
    assert published is not None
    assert published.collided["span_id"] == 1
    assert Bundle.open(store, published.key).index.completeness.dropped["collided"] == 1


def test_a_published_run_says_how_many_credentials_were_masked(tmp_path: Path) -> None:
    """As many as its bundle says; the next revision says only what it masked itself."""
    store = MemoryStore()
    journal(tmp_path, "work", **{"gen_ai.response.id": TOKEN})
    assert publish(store, tmp_path, RUN, own="w") == Published("acme/r", {}, 1)
    assert Bundle.open(store, "acme/r").index.redaction.masked == {"github-token": 1}
    assert not any(TOKEN.encode() in store.get(key) for key in store.list("acme/r/"))
    journal(tmp_path, "late", span_id="c" * 16, **{"runbundle.op": "step"})
    assert publish(store, tmp_path, RUN, own="w") == Published("acme/r", {}, 0)
    index = Bundle.open(store, "acme/r").index
    assert (index.revision, index.redaction.masked) == (2, {"github-token": 1})
