"""Runs in the spool as rows, so that the same filters and the same table are for them."""

from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from runbundle.bundle.catalog.facts import FactsOf
from runbundle.bundle.catalog.index import matching
from runbundle.bundle.catalog.rows import Row, with_facts
from runbundle.bundle.search.filters import RunFilter, sql_of
from runbundle.recording.waiting import unsealed_runs
from runbundle.signals import own, semconv
from runbundle.signals.reading import count_of, text_of

if TYPE_CHECKING:
    from runbundle.bundle.assembly.timeline import Span
    from runbundle.recording.waiting import Unsealed

_MOST_LOOKED_AT = 10_000


def spooled(spool: Path, wanted: RunFilter, *, now_ns: int) -> "list[tuple[Unsealed, Row]]":
    """Return the runs in the spool that match, in the order of the spool.

    Whole journals are read only where a condition needs what is in them. Of such a run the status is not known, and of
    one in quarantine nothing is but its id.
    """
    runs = list(islice(unsealed_runs(spool), _MOST_LOOKED_AT))
    read = sql_of(wanted).needs_facts
    rows: dict[str, Row] = {}
    for place, run in enumerate(runs):
        row = row_of(run, now_ns=now_ns)
        row = _with_contents(run, row) if read and run.state != "quarantined" else row
        rows[str(place)] = row._replace(key=str(place))  # one run may be there twice, live and in quarantine
    found = {row.key for row in matching(rows.values(), wanted)}
    return [(run, rows[str(place)]._replace(key=run.key.path)) for place, run in enumerate(runs) if str(place) in found]


def chosen_by(run: "Unsealed", wanted: RunFilter, *, now_ns: int) -> bool:
    """Tell whether one run in the spool matches."""
    row = row_of(run, now_ns=now_ns)
    return bool(matching([_with_contents(run, row) if sql_of(wanted).needs_facts else row], wanted))


def row_of(run: "Unsealed", *, now_ns: int) -> Row:
    """Return the row of a run in the spool: whose it is, its name, its state and its times."""
    began = run.started_ns
    took = max(0, (now_ns if run.state == "live" else run.since_ns) - began) if began is not None else 0
    return Row(
        run.key.path,
        run.key.run_id,
        started_at=_rfc3339(began) if began is not None else _rfc3339(run.since_ns),
        duration_ns=took,
        state=run.state,
        tenant=run.key.tenant_id,
        name=run.name,
        text=f"{run.key.path}\n{run.name}".lower(),
        acts="",
        agents="\n",
        errors="",
        scores="",
    )


def _with_contents(run: "Unsealed", row: Row) -> Row:
    from runbundle.bundle.assembly.timeline import span_from_entry
    from runbundle.journal.entries import is_entry
    from runbundle.journal.locks import is_held
    from runbundle.journal.reader import JournalReader, journal_files

    journals = journal_files(run.folder)
    facts, traces, agents = FactsOf(), set[str](), set[str]()
    users = sessions = ""
    live = [path for path in journals if is_held(path)]
    for entry in JournalReader(journals, live=live, own="", lines=run.lines):
        if entry["k"] not in ("span", "start") or not is_entry(entry):
            continue
        traces.add(entry["trace_id"])
        if entry["k"] == "span":
            span = span_from_entry(entry, ended=True)
            _add(facts, span)
            if span.op == "agent":
                agents.add(text_of(span.attributes, semconv.AGENT_NAME) or "")
        said: dict[str, Any] = entry.get("attributes") or {}
        users = users or text_of(said, own.USER_ID) or ""
        sessions = sessions or text_of(said, own.SESSION_ID) or ""
    found = facts.facts()._replace(agents=sorted(agents - {""}))
    return with_facts(row, found)._replace(
        traces="\n" + "".join(f"{trace}\n" for trace in sorted(traces)), user_id=users, session_id=sessions
    )


def _add(facts: FactsOf, span: "Span") -> None:
    error = span.error()
    facts.error(error or {})
    if span.op not in ("tool", "model"):
        return
    said = span.attributes
    if span.op == "tool":
        name = text_of(said, semconv.TOOL_NAME) or "?"
    else:
        name = text_of(said, semconv.RESPONSE_MODEL) or text_of(said, semconv.REQUEST_MODEL) or "?"
    took = str(max(0, span.record["end_ns"] - span.record["start_ns"]))
    tokens = (count_of(said, semconv.INPUT_TOKENS), count_of(said, semconv.OUTPUT_TOKENS))
    facts.act(span.op, name, span.status, error or {}, took, tokens if span.op == "model" else (0, 0))


def _rfc3339(ns: int) -> str:
    seconds = min(max(ns // 1_000_000_000, 0), 253_402_300_799)
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S.") + f"{ns % 1_000_000_000:09d}Z"
