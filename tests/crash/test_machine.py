"""A state machine over journals, seals, recoveries and late data; its model is what was acknowledged."""

import os
import shutil
import tempfile
import threading
from pathlib import Path
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from runbundle.bundle.reader import Bundle
from runbundle.bundle.verify import verify
from runbundle.format.identity import RunKey
from runbundle.journal.lines import start_line
from runbundle.journal.reader import journal_files
from runbundle.journal.writer import JournalWriter
from runbundle.recording.publish import publish
from runbundle.recording.recovery import recover
from runbundle.recording.results import BegunElsewhere, StillWritten
from runbundle.store import LocalStore
from tests.crash.harness import look, never_failed, true
from tests.support.record_lines import bare_line

TRACE = "a" * 32
ROOT = "0" * 15 + "1"
RESOURCE: Any = {"attributes": {}, "schema_url": ""}
SCOPE: Any = {"name": "machine", "version": "1", "schema_url": "", "attributes": {}}


class Machine(RuleBasedStateMachine):
    """One run, up to three writers."""

    @initialize()
    def begin(self) -> None:
        """A writer begins the run."""
        memory = Path("/dev/shm") if os.access("/dev/shm", os.W_OK) else None
        self.root = Path(tempfile.mkdtemp(dir=memory, prefix="runbundle-machine-"))
        self.store, self.spool = LocalStore(self.root), self.root / ".spool"
        self.clock = 1_800_000_000_000_000_000
        self.writers: list[JournalWriter] = []
        self.names = 0
        self.open: dict[str, tuple[JournalWriter, int]] = {}
        self.started: set[str] = set()
        self.ended: set[str] = set()
        self.logs: set[str] = set()
        self.torn = 0
        self.next_span = 1
        self.revisions = 0
        self.over = False
        self.another_writer()
        self._start(self.writers[0], is_run=True)

    def _now(self) -> int:
        self.clock += 1000
        return self.clock

    @rule()
    @precondition(lambda self: len(self.writers) < 3)
    def another_writer(self) -> None:
        """A process opens its journal, as a forked one does."""
        self.names += 1
        self.writers.append(JournalWriter.open_in(self.spool / "r", f"writer{self.names}"))

    @rule(data=st.data())
    @precondition(lambda self: self.writers)
    def start(self, data: st.DataObject) -> None:
        """A span starts."""
        self._start(data.draw(st.sampled_from(self.writers)))

    def _start(self, writer: JournalWriter, *, is_run: bool = False) -> None:
        span, now = f"{self.next_span:016x}", self._now()
        self.next_span += 1
        writer.append(start_line(TRACE, span, "" if is_run else ROOT, now, "", is_run=is_run))
        self.started.add(span)
        self.open[span] = writer, now

    @rule(data=st.data())
    @precondition(lambda self: self.open)
    def end(self, data: st.DataObject) -> None:
        """A span ends: any, the run's own too."""
        span = data.draw(st.sampled_from(sorted(self.open)))
        writer, began = self.open.pop(span)
        attributes: dict[str, Any] = {"runbundle.run.id": "r", "runbundle.redaction": '{"n":[]}'}
        if span == ROOT:
            attributes |= {"runbundle.op": "run", "runbundle.spans.started": 1}
            self.over = True
        else:
            attributes |= {"runbundle.op": "step", "runbundle.spans.started": 1}
        record: Any = {
            "run_id": "r", "trace_id": TRACE, "span_id": span, "parent_span_id": "" if span == ROOT else ROOT,
            "remote_parent": span != ROOT, "trace_state": "", "name": "s", "kind": 0, "start_ns": began,
            "end_ns": self._now(), "status_code": 0, "status_message": "", "attributes": attributes, "events": [],
            "links": [], "scope": SCOPE, "resource": RESOURCE, "dropped": {},
        }  # fmt: skip
        writer.write(bare_line("span", record))
        self.ended.add(span)

    @rule(data=st.data(), outside=st.booleans())
    @precondition(lambda self: self.writers)
    def log(self, data: st.DataObject, outside: bool) -> None:
        """A log record of the run; of a span of another, perhaps."""
        now = self._now()
        record: Any = {
            "run_id": "r", "trace_id": TRACE, "span_id": "f" * 16 if outside else ROOT, "time_ns": now, "severity": 9,
            "severity_text": "", "event_name": "", "body": None, "attributes": {}, "scope": SCOPE,
            "resource": RESOURCE, "dropped": 0,
        }  # fmt: skip
        data.draw(st.sampled_from(self.writers)).write(bare_line("log", record))
        self.logs.add(str(now))

    @rule(data=st.data(), part=st.integers(0, 60))
    @precondition(lambda self: self.writers)
    def kill(self, data: st.DataObject, part: int) -> None:
        """A writer dies: its file ends in zeros, and perhaps in a part of a line before them."""
        writer = data.draw(st.sampled_from(self.writers))
        self.writers.remove(writer)
        if part:
            writer.append(start_line(TRACE, "e" * 16, ROOT, self._now(), "")[:part])
            self.torn += 1
        writer._file.abandon()
        self._forget(writer)

    @rule(data=st.data())
    @precondition(lambda self: self.writers)
    def close(self, data: st.DataObject) -> None:
        """A writer lets go of its journal: what is open in it stays so."""
        writer = data.draw(st.sampled_from(self.writers))
        self.writers.remove(writer)
        writer.close()
        self._forget(writer)

    def _forget(self, writer: JournalWriter) -> None:
        self.open = {span: (of, began) for span, (of, began) in self.open.items() if of is not writer}

    @rule(wait=st.booleans(), parts=st.booleans())
    def seal(self, wait: bool, parts: bool) -> None:
        """The run is sealed as the sealer does it, while others may still be writing."""
        try:
            publish(self.store, self.spool, RunKey("", "r"), wait=wait, parts=parts, grace_s=0.1)
        except StillWritten:
            assert self.writers
        except BegunElsewhere:
            assert not parts

    @rule()
    def recover(self) -> None:
        """The run is recovered: while a writer is alive that changes nothing."""
        before = self._index()
        outcome = recover(self.store, self.spool, RunKey("", "r")).outcome
        if outcome == "alive":
            assert self.writers
            assert self._index() == before
        else:
            assert outcome in ("recovered", "gone", "part"), outcome

    @rule()
    def two_recover_at_once(self) -> None:
        """Of two recoverers none fails."""
        outcomes: list[str] = []
        threads = [
            threading.Thread(
                target=lambda: outcomes.append(recover(self.store, self.spool, RunKey("", "r"), parts=True).outcome)
            )
            for _ in range(2)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(outcomes) == 2
        assert set(outcomes) <= {"recovered", "gone", "alive"}

    def _index(self) -> bytes | None:
        return self.store.get("r/run.json") if self.store.exists("r/run.json") else None

    @invariant()
    def a_reader_sees_a_whole_revision(self) -> None:
        """What is sealed verifies, shows nothing that was not recorded, and says of itself what is true."""
        if not hasattr(self, "store") or self._index() is None:
            return
        never_failed(self.store)
        seen = look(self.store, "r")
        true(seen)
        assert {name[32:] for name in seen.ended} <= self.ended
        assert {name[32:] for name in seen.interrupted} <= self.started
        assert set(seen.logs) <= self.logs
        assert seen.bundle.index.revision >= self.revisions
        self.revisions = seen.bundle.index.revision

    def teardown(self) -> None:
        """All writers die; whoever recovers then has all that was acknowledged."""
        if not hasattr(self, "store"):
            return
        for writer in self.writers:
            writer._file.abandon()
        if journal_files(self.spool / "r"):
            assert recover(self.store, self.spool, RunKey("", "r"), parts=True).outcome in (
                "recovered",
                "gone",
            )  # gone: empty
        assert journal_files(self.spool / "r") == []
        report = verify(self.store, "r")
        assert report.verdict != "failed", report.findings
        seen = look(self.store, "r")
        true(seen)
        assert {name[32:] for name in seen.ended} == self.ended
        assert {name[32:] for name in seen.interrupted} == self.started - self.ended
        assert set(seen.logs) == self.logs
        assert len(seen.logs) == len(self.logs)
        if self.over:
            whole = not self.torn and self.started == self.ended
            assert (seen.said.state == "complete") == whole, (seen.said, self.torn)
        again = self._index()
        assert recover(self.store, self.spool, RunKey("", "r"), parts=True).outcome == "gone"
        assert self._index() == again
        # The chain of revisions leads back to the first.
        assert Bundle.open(self.store, "r").index.revision - 1 == sum(
            key.endswith("/run.json") for key in self.store.list("r/revisions/")
        )
        shutil.rmtree(self.root)


TestMachine = Machine.TestCase
TestMachine.settings = settings(max_examples=300, stateful_step_count=25)
