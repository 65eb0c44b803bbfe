"""One part of a run, as `runbundle show` prints it by option: configuration, evidence, events or redaction."""

import sys
from typing import TYPE_CHECKING, Any

from runbundle.cli.options import print_json
from runbundle.cli.printing import json_text, say
from runbundle.signals import own

if TYPE_CHECKING:
    from runbundle.bundle.reader import Bundle
    from runbundle.inspect.columns import SpanColumns

_MOST = 200
_SPANS = 20
_LABEL = 10


def print_config(bundle: "Bundle", *, as_json: bool) -> None:
    """Print the configuration with which the run was started, as JSON, without its secrets."""
    config = bundle.config().config
    if as_json:
        print_json(_file(bundle, bundle.index.config.path))
    elif config is None:
        say("The run was started without a configuration.")
    else:
        print_json(config)


def _file(bundle: "Bundle", path: str) -> Any:
    from runbundle.bundle.reader import parse_json

    return parse_json(bundle.read(path), path)


def print_evidence(bundle: "Bundle", *, every: bool, as_json: bool) -> None:
    """Print what was retrieved: each retrieval with its documents, as far as the spans said."""
    from itertools import islice

    from runbundle.bundle.listings import each_retrieval
    from runbundle.bundle.reader import listed_path
    from runbundle.cli.render import plural, size, table
    from runbundle.format.layout import EVIDENCE

    if as_json:
        path = listed_path(bundle.index, EVIDENCE)
        print_json(None if path is None else _file(bundle, path))
        return
    shown = 0
    for found in islice(each_retrieval(bundle), None if every else _MOST):
        if shown:
            say()
        shown += 1
        say(f"{found.retriever}  {plural(len(found.documents), 'document')}  span {found.span_id}")
        if found.query:
            asked = found.query.view or found.query.digest or "withheld"
            say(f"{'query':{_LABEL}}{asked}, {size(found.query.bytes)}")
        rows = [
            [str(d.rank), d.id, "-" if d.score is None else f"{d.score:g}", size(d.bytes), d.title or "-", d.uri or "-"]
            for d in found.documents
        ]
        if rows:
            table(["RANK", "DOCUMENT", "SCORE", "CONTENT", "TITLE", "ADDRESS"], rows, right=(0, 2, 3), spare=(5, 4))
    if not shown:
        say("Nothing was retrieved.")
    more = bundle.index.counts.retrievals - shown
    if shown and more > 0:
        say(f"… {plural(more, 'more retrieval')}; --all shows them")


def print_events(bundle: "Bundle", *, every: bool, full: bool, as_json: bool) -> None:
    """Print the events in order, a line each; `full` with all attributes. One event is in memory at a time."""
    from runbundle.cli.render import cut, duration, plural

    if as_json:
        comma = "["
        for event in bundle.events():
            sys.stdout.write(f"{comma}\n{json_text(event).rstrip()}")
            comma = ","
        sys.stdout.write("[]\n" if comma == "[" else "\n]\n")
        return
    begun = 0
    for shown, event in enumerate(bundle.events()):
        if not every and shown == _MOST:
            say(f"… {plural(bundle.index.counts.events - shown, 'more event')}; --all shows them")
            return
        begun = begun or int(event["time_ns"])
        after = int(event["time_ns"]) - begun
        status = f"  {event['status']}" if event.get("status") not in (None, "ok", "unset") else ""
        when = f"+{duration(after)}" if after >= 0 else f"-{duration(-after)}"
        say(cut(f"{when:>10}  {event['span_id'][:6]}  {event['type']:<15}  {event['name']}{status}"))
        if full:
            for key, value in sorted(event["attributes"].items()):
                say(f"{'':>12}{key} = {value}")


def print_redaction(bundle: "Bundle", columns: "SpanColumns", *, every: bool, as_json: bool) -> None:
    """Print by which rules how much was withheld, and in which spans most."""
    from runbundle.cli.render import plural, table
    from runbundle.cli.waterfall import label

    said = bundle.index.redaction
    if as_json:
        spans = [
            {"span_id": columns.span_id(row), "name": columns.text("name", row), "withheld": count}
            for row, count in enumerate(columns.data["withheld"]) if count
        ]  # fmt: skip
        print_json({**said.model_dump(mode="json", exclude_none=True), "spans": spans})
        return
    totals = sorted(said.totals, key=lambda total: -total.count)
    if not totals:
        say("Nothing was withheld.")
    else:
        table(["RULE", "ACTION", "VALUES"], [[t.rule, t.action, str(t.count)] for t in totals], right=(2,), whole=(0,))
    for rule, count in (said.masked or {}).items():
        say(f"{plural(count, 'credential')} found only at the seal, by {rule}")
    say()
    for name, value in (
        ("policy", said.policy), ("key", said.key_id), ("content", said.content_mode),
        ("contracts", ", ".join(f"{tool} v{ref.version}" for tool, ref in sorted(said.contracts.items()))),
    ):  # fmt: skip
        if value:
            say(f"{name:{_LABEL}}{value}")
    rows = sorted((row for row, count in enumerate(columns.data["withheld"]) if count),
                  key=lambda row: -columns.data["withheld"][row])  # fmt: skip
    shown = rows if every else rows[:_SPANS]
    if shown:
        say()
        table(
            ["SPAN", "WITHHELD", "NAME"],
            [[columns.span_id(row), str(columns.data["withheld"][row]), label(columns, row)] for row in shown],
            right=(1,), whole=(0,),
        )  # fmt: skip
    if len(rows) > len(shown):
        say(f"… {plural(len(rows) - len(shown), 'more span')}; --all shows them")


def print_span(events: list[dict[str, Any]]) -> None:
    """Print everything that was recorded of one span: its events, their attributes, and its receipt."""
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
