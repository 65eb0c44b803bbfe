"""`runbundle show`: print a run or one of its spans."""

from typing import TYPE_CHECKING, Any

import click

from runbundle.cli.options import format_option, open_store, print_json, reports_errors, run_argument, store_option
from runbundle.cli.printing import say
from runbundle.signals import own

if TYPE_CHECKING:
    from runbundle.bundle.reader import Bundle

_TREE_LIMIT = 200
_FINDINGS_SHOWN = 5


@click.command("show", epilog="Example: runbundle show @last --span 3f2a")
@run_argument
@store_option
@format_option()
@click.option(
    "--span",
    "span_id",
    metavar="ID",
    help="Show everything that was recorded of one span; ID may be the beginning of its id.",
)
@click.option("--all", "all_spans", is_flag=True, help=f"Show all spans and calls, not only the first {_TREE_LIMIT}.")
@reports_errors
def command(run: str, store_url: str, format_: str, span_id: str | None, all_spans: bool) -> None:
    """Show a run: its identity, spans, tool calls, the number of withheld values, and what is missing.

    RUN is a path, a run id, the beginning of a run id, or @last. For a run that is not sealed its state in the spool
    is shown. If a file was changed after the seal, a warning is printed first: anybody may have written what follows.

    Exit codes: 0 done; 2 no such run or span; 3 the run is not sealed; 4 a file was changed after the seal.
    """
    from runbundle.bundle.catalog.locate import resolve
    from runbundle.bundle.reader import Bundle
    from runbundle.cli.commands.show_unsealed import show_unsealed
    from runbundle.errors import KeyNotFound, MalformedBundle, NotSealed, StoreUnavailable

    store = open_store(store_url)
    try:
        bundle = Bundle.open(*resolve(store, run))
    except (KeyNotFound, NotSealed, StoreUnavailable):
        if show_unsealed(store, run, as_json=format_ == "json"):
            raise click.exceptions.Exit(3) from None
        raise
    altered = _altered(bundle, to_stderr=format_ == "json")
    try:
        _show(bundle, format_, span_id, all_spans)
    except MalformedBundle as error:
        if not altered:
            raise
        say(f"error: {error.message}", err=True)
    if altered:
        raise click.exceptions.Exit(4)


def _altered(bundle: "Bundle", *, to_stderr: bool) -> bool:
    """Say what of the bundle is not as it was sealed; return whether anything is."""
    from runbundle.bundle.verify import verify

    found = [f for f in verify(bundle.store, bundle.key, quick=True).findings if f.dimension == "integrity"]
    wrong = [f for f in found if f.severity == "error"]
    if wrong:
        say("WARNING: this bundle is not what was sealed; runbundle verify says more", err=to_stderr)
    for finding in wrong[:_FINDINGS_SHOWN]:
        say(f"  {finding.code}  {finding.file or ''}: {finding.message}", err=to_stderr)
    return bool(wrong)


def _show(bundle: "Bundle", format_: str, span_id: str | None, all_spans: bool) -> None:
    from runbundle.errors import KeyNotFound

    if span_id is not None:
        events = bundle.span(span_id)
        if not events:
            raise KeyNotFound(f"there is no span {span_id}", hint=f"runbundle show {bundle.index.run_id} shows the ids")
        if format_ == "json":
            print_json(events)
        else:
            _print_span(events)
    elif format_ == "json":
        print_json(bundle.index.model_dump(mode="json", by_alias=True, exclude_none=True))
    else:
        _print_run(bundle, None if all_spans else _TREE_LIMIT)


def _print_run(bundle: "Bundle", limit: int | None) -> None:
    from itertools import islice

    from runbundle.bundle.listings import each_retrieval, each_tool_call
    from runbundle.cli.commands.tools import print_calls
    from runbundle.cli.render import duration, moment, plural, size

    index = bundle.index
    say(f"run       {index.run_id}   ", index.status)
    if index.name or index.attempt or index.case_id:
        case = f"case {index.case_id}" + (f", repetition {index.repeat}" if index.repeat is not None else "")
        attempt = f"attempt {index.attempt}" if index.attempt else ""
        say("name      " + ", ".join(part for part in (index.name, case if index.case_id else "", attempt) if part))
    say(f"when      {moment(index.started_at)}, for {duration(index.duration_ns)}")
    for label, value in (
        ("request", index.request_id), ("tenant", index.tenant_id), ("session", index.session_id),
        ("user", index.user_id), ("inside", index.parent_run.run_id if index.parent_run else None),
        ("models", ", ".join(index.versions.models)),
        ("tokens", ", ".join(f"{v} {k.removesuffix('_tokens')}" for k, v in index.usage.items())),
    ):  # fmt: skip
        if value:
            say(f"{label:<9} {value}")
    if index.versions.git:
        changed = " with local changes" if index.versions.git.dirty else ""
        say(f"code      {index.versions.git.commit[:12]}{changed}")
    if index.result:
        say(f"result    {index.result.kind}, {size(index.result.bytes)}")
    if index.error:
        say(f"error     {index.error.type}, in span {index.error.span_id}")
    say()
    last = _print_tree(bundle, limit)
    calls = list(islice(each_tool_call(bundle), limit))
    if calls:
        say()
        print_calls(calls)
    if index.counts.tool_calls > len(calls):
        say(f"… {plural(index.counts.tool_calls - len(calls), 'more call')}; --all shows them")
    if index.children:
        say()
        _print_children(bundle, limit)
    found = [len(retrieval.documents) for retrieval in each_retrieval(bundle)]
    if found:
        say()
        say(f"evidence  {plural(sum(found), 'document')} in {plural(len(found), 'retrieval')}")
    redacted = sum(total.count for total in index.redaction.totals)
    say()
    say(f"withheld  {plural(redacted, 'value')}; prompts and outputs are digests only")
    if index.redaction.content_mode == "debug":
        say("WARNING   debug mode: raw content lies encrypted in the vault; see runbundle debug")
    state, said = index.completeness.state, index.completeness
    # More than expected are those of a process that died before it could say how many there were.
    some = said.spans_expected is not None and said.spans_expected >= said.spans_seen
    expected = f" of {said.spans_expected}" if some else ""
    why = "; nobody saw how many began: runbundle explain RB307" if state == "unknown" else ""
    say(f"complete  {'yes' if state == 'complete' else state}: {said.spans_seen}{expected} spans{why}")
    if said.unread:
        spans = ", ".join(f"{plural(count, 'span')} of {scope}" for scope, count in said.unread.items())
        say(f"unread    {spans} could not be read")
    if index.resumed_from:
        say(f"resumed   from {index.resumed_from}; {plural(len(said.cut_off or []), 'span')} cut off before")
    if last:
        short = index.run_id[:8]
        say()
        say(f"next: runbundle verify {short}; runbundle show {short} --span {last[:6]}")


def _print_children(bundle: "Bundle", limit: int | None) -> None:
    """Print the runs that began within this one, and how they ended as far as this store knows."""
    from runbundle.bundle.reader import Bundle
    from runbundle.cli.render import duration, line
    from runbundle.errors import RunbundleError

    beside = bundle.key[: -len(bundle.index.run_id)]
    children = bundle.index.children or []
    for child in children[:limit]:
        try:
            index = Bundle.open(bundle.store, f"{beside}{child.run_id}").index
            ended, took = index.status, duration(index.duration_ns)
        except RunbundleError:
            ended, took = "not in this store", "-"
        say(line(f"child     {child.name or 'run'}  {child.run_id}", f"{ended}  {took:>9}"))
    if len(children) > len(children[:limit]):
        say(f"… {len(children) - len(children[:limit])} more children; --all shows them")


def _print_tree(bundle: "Bundle", limit: int | None) -> str:
    """Print the spans as a tree; return the id of one that is worth a look: the first error, else the last span."""
    from runbundle.cli.render import line, plural, span_duration, width

    spans, children, roots, error = _tree(bundle, limit)
    shown, last = 0, ""
    stack = [(key, "", "") for key in reversed(roots)]
    while stack and (limit is None or shown < limit):
        key, prefix, branch = stack.pop()
        span = spans[key]
        status = span.get("status") or "interrupted"
        notes = [status] if status not in ("ok", "unset") else []
        if span.get("redactions"):
            notes.append(f"{span['redactions']} withheld")
        name = f"{span['name']}" if span["name"].startswith(f"{span['op']} ") else f"{span['op']}: {span['name']}"
        took = span_duration(span.get("duration_ns"), span.get("status"))
        room, digits = (24, 16) if width() >= 90 else (0, 6)
        right = f"{', '.join(notes):>{room}}  {took:>9}  {span['id'][:digits]}"
        say(line(f"{prefix}{branch}{name}", right))
        shown += 1
        last = span["id"]
        below = children.get(key, [])
        inner = prefix + {"": "", "├─ ": "│  ", "└─ ": "   "}[branch]
        for number, child in enumerate(reversed(below)):
            stack.append((child, inner[:120], "└─ " if number == 0 else "├─ "))
    more = bundle.index.counts.spans - shown
    if more > 0:
        say(f"… {plural(more, 'more span')}; --all shows them")
    return error or last


def _tree(
    bundle: "Bundle", limit: int | None
) -> tuple[dict[str, dict[str, Any]], dict[str, list[str]], list[str], str]:
    """Read the spans that may be shown: of a long run, those that started first. Also the first that ended in error."""
    spans: dict[str, dict[str, Any]] = {}
    children: dict[str, list[str]] = {}
    roots: list[str] = []
    error = ""
    most = None if limit is None else limit * 10
    for event in bundle.events():
        key = event["trace_id"] + event["span_id"]
        if event["type"] == "span.started" and (most is None or len(spans) < most):
            spans[key] = {"id": event["span_id"], "op": event.get("op"), "name": event["name"]}
            parent = event["trace_id"] + event.get("parent_span_id", "")
            (children.setdefault(parent, []) if parent in spans else roots).append(key)
        elif event["type"] == "span.ended":
            if key in spans:
                spans[key] |= {k: event.get(k) for k in ("duration_ns", "status", "redactions")}
            if not error and event.get("status") == "error":
                error = event["span_id"]
    return spans, children, roots, error


def _print_span(events: list[dict[str, Any]]) -> None:
    from runbundle.cli.render import cut, duration

    start = int(events[0]["time_ns"])
    say(f"span      {events[0]['span_id']} in trace {events[0]['trace_id']}")
    if events[0].get("lane"):
        say(f"lane      {events[0]['lane']}")
    for event in events:
        after = duration(int(event["time_ns"]) - start)
        said = [f"{k}={event[k]}" for k in ("status",) if event.get(k)]
        say()
        say(f"+{after}  {event['type']}  {event['name']}  {' '.join(said)}".rstrip())
        for key, value in sorted(event["attributes"].items()):
            if key != own.RECEIPT:
                say(cut(f"    {key} = {value}"))
        receipt = event["attributes"].get(own.RECEIPT)
        if receipt:
            _print_receipt(receipt)


def _print_receipt(text: str) -> None:
    from runbundle.redaction.receipt import parse_receipt

    receipt = parse_receipt(text)
    if receipt is None or not receipt.count():
        return
    say("    withheld:")
    for note in receipt.notes:
        say(f"      {note.action:<8} {note.path}  ({note.rule})")
    for key, count in receipt.more.items():
        say(f"      … {count} more by {key}")
