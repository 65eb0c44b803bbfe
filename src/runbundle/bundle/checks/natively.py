"""Deriving a bundle again by the native core, in the one pass in which the digests of its files are taken.

The core finds nothing: at whatever is unusual it ends, and Python checks the files from the beginning, as it does where
there is no core. So the findings of a report are always Python's. A bundle is derived by the core only if Python would
find nothing in its events, and that run.json, tool_calls.json and evidence.json follow from them.
"""

from array import array
from collections.abc import Callable
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any, Protocol

import orjson

from runbundle.bundle.assembly.about import Agents
from runbundle.bundle.assembly.acts import CountedActs
from runbundle.bundle.assembly.assemble import (
    Above,
    Assembled,
    Whole,
    attributes_of_run,
    config_of,
    derived,
    index_of,
    keyed,
    refused,
    unkeyed,
)
from runbundle.bundle.assembly.natively import KINDS, notes_text, words
from runbundle.bundle.assembly.parts import NewFile
from runbundle.bundle.assembly.reread import entry_of_span, log_entry
from runbundle.bundle.assembly.sorting import Sorter
from runbundle.bundle.assembly.tally import RunTotals
from runbundle.bundle.assembly.timeline import UNFIT, event_line, log_line, run_lines, span_from_entry
from runbundle.bundle.checks.derived import COLLIDED, MALFORMED, TORN
from runbundle.bundle.checks.events import MARKED, holds_credential, is_withheld, suspicious, validated
from runbundle.bundle.checks.reassemble import SearchingMaker, contradictions, scratch_folder
from runbundle.bundle.checks.times import TimeChecks
from runbundle.bundle.entry_lines import entry_bytes, write_listing
from runbundle.bundle.reader import Bundle, listed_path
from runbundle.core import native
from runbundle.format.identity import RunKey, tenant_of
from runbundle.format.layout import CONFIG, EVENTS, EVIDENCE, TOOL_CALLS, name_of
from runbundle.format.words import RULES
from runbundle.journal.entries import is_entry
from runbundle.redaction.permitted.safe_text import has_credential_format
from runbundle.redaction.receipt import read_receipt
from runbundle.signals import own

_MARKED = 32
"""The bit of a key whose values are withheld whatever the policy; the other bits are in `assembly.natively`."""
_MOST_CHILDREN = 1000
_MOST_LINE_BYTES = 33_554_432


class _NotMine(Exception):
    """The bundle is left to Python."""


class _Verifier(Protocol):
    def events(self, data: bytes) -> str | None: ...
    def finish(self) -> dict[str, Any] | str: ...
    def calls(self, data: bytes, suspect: bool) -> list[bytes] | str: ...
    def finish_calls(self, tail: bytes) -> bool: ...


class NativeDerivation:
    """Derives a bundle while its files are read. Close it after use.

    Hand over the bytes of each file by `reader`, say `whole` of each that is unchanged, then `compare`. Nothing raises:
    `refused` then says why the bundle is left to Python.
    """

    def __init__(self, bundle: Bundle) -> None:
        self.refused = ""
        """Why the bundle is left to Python; empty if it is not, or not yet."""
        self._bundle = bundle
        self._held = ExitStack()
        self._paths = {listed_path(bundle.index, name): name for name in (EVENTS, TOOL_CALLS)}
        self._rest = b""
        self._totals: dict[str, Any] | None = None
        self._calls_read = False
        module = native.module()
        if module is None or bundle.index.rules != RULES:
            self.refused = "there is no native core" if module is None else "its rules are earlier ones"
            return
        self._tried(self._begin, module)

    def _begin(self, module: Any) -> None:
        self._judge = _Judge(self._bundle, scratch_folder(), self._held)
        bits = words()["bits"]
        marked = {key: bits.get(key, 0) | _MARKED for key in MARKED}
        self._verifier: _Verifier = module.Verifier({**words(), "bits": {**bits, **marked}}, self._judge)

    def close(self) -> None:
        """Free memory and disk."""
        self._held.close()

    def reader(self, path: str) -> Callable[[bytes], None] | None:
        """Return what takes the bytes of a file while they are read; None if nobody wants them."""
        name = None if self.refused else self._paths.get(path)
        if name is None:
            return None
        self._rest = b""
        return lambda data: self._tried(self._read, name, data)

    def whole(self, path: str) -> None:
        """Take note that a file was read to its end and is the one that was sealed."""
        if not self.refused and path in self._paths:
            self._tried(self._finished, self._paths[path])

    def compare(self, unchanged: set[str]) -> set[str] | None:
        """Return the names of all files if they agree; None if that is not sure. `unchanged`: as for `Reassembly`."""
        if not self.refused and {entry.path for entry in self._bundle.index.files} != unchanged:
            self.refused = "a file is not the one that was sealed"
        if not self.refused:
            self._tried(self._compared)
        return None if self.refused else {name_of(path) for path in unchanged}

    def _tried(self, do: Callable[..., None], *given: Any) -> None:
        if self.refused:
            return
        try:
            do(*given)
        except _NotMine as error:
            self.refused = str(error)
        except Exception as error:  # noqa: BLE001 - whatever it is, Python finds out, or says what is wrong
            self.refused = f"an error ({type(error).__name__})"

    def _read(self, name: str, data: bytes) -> None:
        cut = data.rfind(b"\n") + 1
        if not cut:
            self._rest += data
            if len(self._rest) > _MOST_LINE_BYTES:
                raise _NotMine("a line is long")
            return
        lines, self._rest = self._rest + data[:cut], data[cut:]
        suspect = suspicious([lines])
        if name == EVENTS:
            if suspect and any(has_credential_format(line.decode("utf-8", "replace")) for line in lines.split(b"\n")):
                raise _NotMine("something looks like a credential")
            why = self._verifier.events(lines)
            if why is not None:
                raise _NotMine(why)
        elif self._totals is None:
            raise _NotMine("the calls come before the events")
        else:
            entries = self._verifier.calls(lines, suspect)
            if isinstance(entries, str):
                raise _NotMine(entries)
            if any(holds_credential(orjson.loads(entry)) for entry in entries):
                raise _NotMine("something looks like a credential")

    def _finished(self, name: str) -> None:
        if self._rest:
            raise _NotMine("its last line is cut off")
        if name == EVENTS:
            made = self._verifier.finish()
            if isinstance(made, str):
                raise _NotMine(made)
            self._totals = made
        else:
            run_id = self._bundle.index.run_id
            *_, tail = write_listing("calls", [], run_id=run_id, schema="runbundle/tool_calls/v1")
            if not self._verifier.finish_calls(tail):
                raise _NotMine("the calls have another end")
            self._calls_read = True

    def _compared(self) -> None:
        if self._totals is None or not self._calls_read:
            raise _NotMine("a file is not listed")
        made, leaking = self._judge.assembled(self._totals)
        with closing(made):
            listed = {name_of(entry.path): (entry.bytes, entry.sha256) for entry in self._bundle.index.files}
            if {file.name: (file.size, file.sha256) for file in made.files} != listed:
                raise _NotMine("a file is not what follows")
            if leaking:
                raise _NotMine("something looks like a credential")
            if contradictions(made, self._bundle):
                raise _NotMine("run.json is not what follows")


class _Judge:
    """What the native core asks while it derives a bundle."""

    def __init__(self, bundle: Bundle, scratch: Path, held: ExitStack) -> None:
        self._bundle, self._scratch = bundle, scratch
        self._tally = RunTotals(bundle.index.run_id)
        self._agents = held.enter_context(closing(Agents(scratch)))
        self._evidence = held.enter_context(Sorter(scratch))
        self._places: dict[tuple[int, str, str], tuple[int, str]] = {}
        self._last_log = b""

    def receipt(self, text: str) -> tuple[int, bytes, bytes] | None:
        """Return the count of a receipt, and what it notes of arguments and result; None if it cannot be read."""
        receipt = read_receipt(text)
        if receipt is None:
            return None
        arguments, result = (notes_text(receipt, kind) for kind in KINDS)
        return receipt.count(), arguments, result

    def withheld(self, text: str) -> bool:
        """Tell whether a value is a marker or a digest."""
        return is_withheld(text)

    def log(self, text: str, seq: int) -> None:
        """Check the line of a log record. Raises `_NotMine` unless it is what follows and has no finding."""
        event = orjson.loads(text)
        validated(event)
        said = event["attributes"]
        entry = log_entry(event)
        if own.COERCED in said or not all(is_withheld(said[key]) for key in MARKED.intersection(said)):
            raise _NotMine("a log has a finding")
        line = log_line(entry, sealed=False) if is_entry(entry) else b""
        if not line or line <= self._last_log or event_line(line, seq) != text.encode() + b"\n":
            raise _NotMine("a log is not what follows")
        self._last_log = line
        self._tally.counts["logs"] += 1

    def span(self, lines: list[bytes], row: int, times: int, rare: bool, began: str, here: bool) -> bytes | None:
        """Add up a span, and as many that are like it; if it is `rare`, derive its lines and return its call's entry.

        `began`: id of the span in which its error began; empty if in itself. `here`: whether its parent is in the run.
        Raises `_NotMine` unless its lines are what follows.
        """
        events = [orjson.loads(line) for line in lines]
        if rare:
            for event in events:
                validated(event)
        entry = entry_of_span(events, self._bundle.index.versions.semconv)
        if entry is None or not is_entry(entry):
            raise _NotMine("a span has another form")
        span = span_from_entry(entry, ended=True)
        if span.receipt is UNFIT:
            raise _NotMine("a receipt has another form")
        tally = self._tally
        tally.add(span, parent_here=here, times=times)
        if len(tally.children) >= _MOST_CHILDREN:
            raise _NotMine("many runs began within it")
        if span.claims_run or not here:
            self._places[span.order] = row, began
        if span.op == "agent":
            self._agents.add(row, span, began)
        if not rare:
            return None
        made = derived(span, Above(None, began, here))
        numbers = [orjson.loads(line)["seq"] for line in lines]
        if list(map(event_line, made.lines, numbers)) != [line + b"\n" for line in lines]:
            raise _NotMine("a line is not what follows")
        tally.captured(made.words)
        if made.evidence is not None:
            tally.counts["evidence"] += 1
            self._evidence.add(keyed(span, entry_bytes(made.evidence)))
        if made.call is None:
            return None
        tally.counts["policy_blocks"] += refused(made.call)
        return entry_bytes(made.call).replace(b"\x01", b"\n    ")

    def assembled(self, totals: dict[str, Any]) -> tuple[Assembled, set[str]]:
        """Return the bundle that follows, and names of files in which something looks like a credential.

        Of the two long files only size and digest are there: those that run.json lists. Raises `_NotMine`.
        """
        index, tally = self._bundle.index, self._tally
        tally.widen(
            totals["first_ns"], totals["last_ns"], totals["good_ns"], totals["trace_ids"], whole=totals["whole"]
        )
        tally.finish()
        tally.counts["events"] = totals["events"]
        tally.counts["policy_blocks"] += totals["refused"]
        self._check_times(totals)
        begun, final = tally.begun, tally.final
        lines = sorted(run_lines(begun, final)) if begun is not None and final is not None else []
        said = [(seq, text.encode() + b"\n") for seq, text in totals["of_run"]]
        if len(lines) != len(said) or any(
            event_line(line, seq) != text for line, (seq, text) in zip(lines, said, strict=True)
        ):
            raise _NotMine("the run's own lines are not what follows")
        parents = array("i")
        parents.frombytes(totals["parents"])
        acts = CountedActs(totals["acts"], totals["kinds"], totals["usage"])
        run = RunKey(tenant_of(totals["tenant"]), index.run_id)
        of_run = attributes_of_run(tally)
        place = (-1, "") if final is None else self._places[final.order]
        whole = Whole(run, totals["begins"], tally, acts, self._agents, parents.__getitem__, *place)
        maker = SearchingMaker()
        parts = [maker.make(CONFIG, [config_of(of_run)], self._scratch), self._listed(EVENTS)]
        if tally.counts["evidence"]:
            entries = unkeyed(self._evidence)
            pieces = write_listing("retrievals", entries, run_id=run.run_id, schema="runbundle/evidence/v1")
            parts.append(maker.make(EVIDENCE, pieces, self._scratch))
        parts.append(self._listed(TOOL_CALLS))
        sdk_versions = frozenset({index.versions.otel_sdk or ""} - {""})
        dropped = index.completeness.dropped
        completeness = tally.completeness(
            torn=max(0, dropped.get(TORN, 0)), malformed=max(0, dropped.get(MALFORMED, 0)),
            collided=max(0, dropped.get(COLLIDED, 0)), late=0, grace_s=index.completeness.grace_s,
            begun=totals["begins"],
        )  # fmt: skip
        return Assembled(run, parts, completeness, {}, index_of(whole, of_run, sdk_versions)), maker.leaking

    def _listed(self, name: str) -> NewFile:
        entry = next(entry for entry in self._bundle.index.files if name_of(entry.path) == name)
        return NewFile(name, b"", entry.bytes, entry.sha256)

    def _check_times(self, totals: dict[str, Any]) -> None:
        checks = TimeChecks(_refuse, EVENTS)
        for number, time_ns in enumerate((totals["first_line_ns"], totals["last_line_ns"]), 1):
            checks.line(number, {"attributes": {}, "type": ""}, time_ns)
        checks.finish(self._bundle.index)


def _refuse(*_: Any, **__: Any) -> None:
    raise _NotMine("a time has a finding")
