"""Rows of an index: what a listing shows of one bundle and searches it by, from run.json and its other files."""

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple, TypeVar

import orjson

from runbundle.bundle.catalog.facts import FactsOf, error_text
from runbundle.bundle.facts import Facts
from runbundle.errors import BundleError, KeyNotFound, OddEntry
from runbundle.format.layout import EVENTS, RUN, SCORECARD, TOOL_CALLS
from runbundle.process.regex import later
from runbundle.signals.reading import LARGEST
from runbundle.store import ArtifactStore
from runbundle.store.base import Body, is_key

T = TypeVar("T")
_BATCH = 500
_MOST_TEXT = 16 * 1024 * 1024
_MOMENT = later(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}[0-9.]{0,10}(?:Z|\+00:00)\Z")
_WORD = later(r"[a-z]{1,20}")
_SMALL = 8 * 1024 * 1024  # in larger files facts are looked up when they are first asked for, not at the seal


class Row(NamedTuple):
    """The row of one bundle, or of a run that is in a spool."""

    key: str
    """Key of the bundle: `<run_id>` or `<tenant>/<run_id>`."""
    run_id: str
    problem: str = ""
    """Empty, `unsealed`, or the reason why run.json cannot be read. With a problem most other fields are empty."""
    started_at: str = ""
    ended_at: str = ""
    duration_ns: int = 0
    state: str = "sealed"
    """`sealed`, `unsealed` or `unreadable`; of a run in a spool the state that it has there."""
    status: str = ""
    completeness: str = ""
    """State of its completeness."""
    lost: str = ""
    """What is missing, as JSON: the numbers of its completeness. Empty if nothing is."""
    tenant: str = ""
    name: str = ""
    parent: str = ""
    """Id of the outer run."""
    case_id: str = ""
    user_id: str = ""
    session_id: str = ""
    request_id: str = ""
    traces: str = ""
    """Ids of its traces, each with a line end before and after."""
    error_type: str = ""
    """Type of the error that ended the run."""
    error: str = ""
    """Its message, if a contract keeps it."""
    spans: int = 0
    failed: int = 0
    """Number of spans that ended in an error."""
    tool_calls: int = 0
    model_calls: int = 0
    blocked: int = 0
    withheld: int = 0
    """Number of redactions."""
    input_tokens: int = 0
    output_tokens: int = 0
    revision: int = 0
    text: str = ""
    """Text that `--text` searches, in lower case: ids, name, status, models, error type, and names once they are
    known."""
    acts: str | None = None
    """Its calls by tool and model, as JSON (`facts.Act`); None if its files have not been read for them yet."""
    agents: str | None = None
    """Names of its agents, each with a line end before and after; None likewise."""
    errors: str | None = None
    """Types and kept messages of all its errors, each on a line; None likewise."""
    scores: str | None = None
    """Its scores as JSON: name, value, label; None likewise."""
    stamp: str = ""
    """Time, size and inode of its run.json on disk, and of its scorecard; empty if it is not on disk."""


NUMBERS = tuple(name for name, kind in Row.__annotations__.items() if kind is int)
FACTS = ("acts", "agents", "errors", "scores")
"""Fields that the bundle's other files give."""
_TEXTS = tuple(name for name in Row._fields if name not in (*NUMBERS, *FACTS))


def checked_row(values: Sequence[Any]) -> Row | None:
    """Return the row with these values, or None if they do not form one: others may write to an index too."""
    if len(values) != len(Row._fields):
        return None
    row = Row(*values)
    said = row._asdict()
    fits = (
        all(type(said[name]) is str and len(said[name]) <= _MOST_TEXT for name in _TEXTS)
        and all(type(said[name]) in (str, type(None)) for name in FACTS)
        and all(type(said[name]) is int and 0 <= said[name] <= LARGEST for name in NUMBERS)
        and is_key(row.key)
        and row.key.count("/") <= 1
        and (row.problem or (row.run_id.isprintable() and bool(row.run_id)))
        and (row.problem or _MOMENT.match(row.started_at))
        and (row.problem or (_WORD.fullmatch(row.status) and _WORD.fullmatch(row.completeness)))
        and _WORD.fullmatch(row.state)
        and (not row.problem or (row.started_at, row.duration_ns) == ("", 0))
    )
    return row if fits else None


def row_of(key: str, index: Mapping[str, Any], *, stamp: str = "") -> Row:
    """Return the row of a bundle with the run.json `index`."""
    counts: Mapping[str, Any] = index.get("counts") or {}
    usage: Mapping[str, Any] = index.get("usage") or {}
    error: Mapping[str, Any] = index.get("error") or {}
    versions: Mapping[str, Any] = index.get("versions") or {}
    completeness: Mapping[str, Any] = index["completeness"]
    parent: Mapping[str, Any] = index.get("parent_run") or {}
    redaction: Mapping[str, Any] = index.get("redaction") or {}
    totals: Sequence[Mapping[str, Any]] = redaction.get("totals") or ()
    words = [key, index.get("name"), *(index.get(f"{name}_id") for name in ("user", "session", "request"))]
    words += [error.get("type"), index["status"], *versions.get("models", ())]
    kept = error_text(error) if error else ""
    return Row(
        key,
        index["run_id"],
        started_at=index["started_at"],
        ended_at=index["ended_at"],
        duration_ns=min(int(index["duration_ns"]), LARGEST),
        status=index["status"],
        completeness=completeness["state"],
        lost=_lost(completeness),
        tenant=index.get("tenant_id") or "",
        name=index.get("name") or "",
        parent=parent.get("run_id") or "",
        case_id=index.get("case_id") or "",
        user_id=index.get("user_id") or "",
        session_id=index.get("session_id") or "",
        request_id=index.get("request_id") or "",
        traces=_lines(index["trace_ids"]),
        error_type=error.get("type") or "",
        error=kept.partition(": ")[2],
        spans=counts.get("spans", 0),
        failed=counts.get("errors", 0),
        tool_calls=counts.get("tool_calls", 0),
        model_calls=counts.get("model_calls", 0),
        blocked=counts.get("policy_blocks", 0),
        withheld=min(sum(total["count"] for total in totals), LARGEST),
        input_tokens=usage.get("input_tokens", 0),
        output_tokens=usage.get("output_tokens", 0),
        revision=index.get("revision", 1),
        text="\n".join(str(word) for word in words if word).lower(),
        stamp=stamp,
    )


def problem_row(key: str, problem: str) -> Row:
    """Return the row of a bundle that is unsealed or not readable."""
    tenant, _, run_id = key.rpartition("/")
    state = "unsealed" if problem == "unsealed" else "unreadable"
    return Row(key, run_id, problem, state=state, tenant=tenant, text=key.lower(), acts="", agents="\n", errors="",
               scores="")  # fmt: skip


def with_facts(row: Row, facts: Facts) -> Row:
    """Return a row with what the bundle's other files say."""
    tools = _lines(act.name for act in facts.acts if act.kind == "tool")
    agents = _lines(facts.agents)
    return row._replace(
        acts=orjson.dumps([tuple(act) for act in facts.acts]).decode(),
        agents=agents,
        errors=facts.errors,
        scores=orjson.dumps(facts.scores).decode(),
        text=row.text + (tools + agents).lower(),
    )


def _lost(completeness: Mapping[str, Any]) -> str:
    """Return the numbers behind an incomplete run."""
    if completeness["state"] in ("complete", "unknown") and not completeness.get("dropped"):
        return ""
    said: dict[str, Any] = {name: completeness[name] for name in ("spans_expected", "spans_seen", "dropped", "roots")
                            if completeness.get(name) is not None}  # fmt: skip
    said["open"] = len(completeness.get("open_spans") or ())
    return orjson.dumps(said).decode()


def _lines(names: Iterable[str]) -> str:
    return "\n" + "".join(f"{name}\n" for name in sorted(set(names)))


def facts_in_files(files: Mapping[str, Body], index: Mapping[str, Any]) -> Facts | None:
    """Return the facts in the files of a bundle that is being sealed; None above 8 MiB."""
    paths = [_path(index, TOOL_CALLS), _path(index, EVENTS)]
    bodies = [files[path] for path in paths if path in files]
    if len(bodies) < 2 or sum(e["bytes"] for e in index["files"] if e["path"] in paths) > _SMALL:
        return None
    calls, events = (body if isinstance(body, bytes) else _read(body) for body in bodies)
    found = FactsOf()
    found.tool_calls(calls)
    found.events(events.split(b"\n"))
    return found.facts()


def stored_facts(store: ArtifactStore, key: str, index: Mapping[str, Any]) -> Facts:
    """Return the facts in the files of a sealed bundle, and in its scorecard; damaged files give none."""
    found = FactsOf()
    for name, path in ((TOOL_CALLS, _path(index, TOOL_CALLS)), (EVENTS, _path(index, EVENTS)), (SCORECARD, SCORECARD)):
        try:
            with store.open(f"{key}/{path}") as file:
                if name == EVENTS:
                    found.events(file)
                elif name == TOOL_CALLS:
                    found.tool_calls(file.read())
                else:
                    found.scorecard(file.read(_SMALL))
        except KeyNotFound:
            continue  # a damaged bundle is verify's to report
    return found.facts()


def read_row(store: ArtifactStore, key: str) -> Row:
    """Return the row of a bundle by reading its run.json. Raises `StoreUnavailable`.

    A bundle in the folder of another run has a problem: counted with its original it would be one run twice. One below
    another tenant has none, for somebody may look at the folder of a tenant as a store; `verify` says it.
    """
    from runbundle.bundle.reader import index_bytes, misplaced, parse_index

    stamp = stamp_of(store, key)  # before it is read: if it changes meanwhile, that shows
    try:
        said = parse_index(index_bytes(store, key))
    except OddEntry as error:
        return problem_row(key, error.message)
    except KeyNotFound:
        return problem_row(key, "unsealed")
    except BundleError as error:
        return problem_row(key, error.message)
    if key.rpartition("/")[2] != said.run_id:
        return problem_row(key, misplaced(key, said))
    return row_of(key, said.model_dump(mode="json", by_alias=True), stamp=stamp)


def row_with_facts(store: ArtifactStore, row: Row) -> Row:
    """Return a row with the facts read from its bundle."""
    try:
        return with_facts(row, stored_facts(store, row.key, orjson.loads(store.get(f"{row.key}/{RUN}"))))
    except (KeyNotFound, orjson.JSONDecodeError):
        return row._replace(acts="", agents="\n", errors="", scores="")


def stamp_of(store: ArtifactStore, key: str) -> str:
    """Return time, size and inode of a bundle's run.json, and of its scorecard; empty if it is not on disk."""
    folder = store.folder
    if folder is None:
        return ""
    run = _stat(f"{folder}/{key}/{RUN}")
    scores = _stat(f"{folder}/{key}/{SCORECARD}") if run else ""
    return f"{run} {scores}" if scores else run


def _stat(path: str) -> str:
    try:
        status = os.stat(path)  # noqa: PTH116 - one a row that is shown
    except OSError:
        return ""
    return f"{status.st_mtime_ns} {status.st_size} {status.st_ino}"


def batches(items: Sequence[T]) -> Iterator[list[T]]:
    """Yield the items in lists of at most 500, the size of one transaction."""
    for start in range(0, len(items), _BATCH):
        yield list(items[start : start + _BATCH])


def _read(body: Any) -> bytes:
    body.seek(0)
    data: bytes = body.read()
    return data


def _path(index: Mapping[str, Any], name: str) -> str:
    return next((e["path"] for e in index["files"] if e["path"] == name or e["path"].endswith("/" + name)), name)
