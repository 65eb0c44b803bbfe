"""A sealed run as `runbundle show` prints it: first why it failed, then what it is, its spans, calls and losses."""

from collections import Counter
from itertools import islice
from typing import TYPE_CHECKING, Any, NamedTuple

from runbundle.cli.commands.show_failure import block, print_failure
from runbundle.cli.commands.show_scores import print_short
from runbundle.cli.printing import say
from runbundle.signals import own, semconv

if TYPE_CHECKING:
    from runbundle.bundle.reader import Bundle
    from runbundle.inspect.columns import SpanColumns

SPANS_SHOWN = 60
"""Spans, calls and children that are shown of a run, unless all are asked for."""
_CALLS_SHOWN, _EVENTS_READ, _EVENTS_SHOWN, _LINKS, _RULES = 20, 200, 10, 3, 4


class Look(NamedTuple):
    """How a run is looked at."""

    bars: bool = True
    every: bool = False
    """Whether all spans, calls and children are shown."""
    full: bool = False
    """Whether long texts and chains are shown whole."""


def print_run(bundle: "Bundle", columns: "SpanColumns", look: Look, run: str, store: str) -> None:
    """Print a run. `run` and `store`: how further commands name it."""
    from runbundle.cli.waterfall import lines, more, tree
    from runbundle.inspect.failure import failure_of

    index = bundle.index
    say(f"run       {index.run_id}   ", index.status)
    failure = failure_of(bundle, columns)
    if failure is not None:
        say()
        print_failure(columns, failure, full=look.full)
        say()
    _print_facts(bundle, error=failure is None)
    say()
    shown = tree(columns, None if look.every else SPANS_SHOWN)
    for text in lines(columns, shown, bars=look.bars):
        say(text)
    if left := more(columns, len(shown)):
        say(left)
    _print_calls(bundle, look)
    _print_events(bundle, columns, look)
    if index.children:
        say()
        _print_children(bundle, None if look.every else SPANS_SHOWN)
    _print_end(bundle, columns)
    print_short(bundle, f"runbundle show {run}{store}")
    say()
    wrong = failure.row if failure else next(columns.with_status("error", "blocked"), None)
    if wrong is not None:
        say(f"next: runbundle show {run}{store} --errors")
    row = wrong if wrong is not None else shown[-1].row if shown else None
    if row is not None:
        say(f"next: runbundle show {run}{store} --span {columns.span_id(row)[:6]}")
    say(f"next: runbundle view {run}{store}")
    say(f"next: runbundle verify {run}{store}")


def _print_facts(bundle: "Bundle", *, error: bool) -> None:
    from runbundle.bundle.custody.holds import hold_of
    from runbundle.cli.render import cut, duration, moment, size
    from runbundle.format.canonical import to_json_bytes

    index = bundle.index
    if index.name or index.attempt or index.case_id:
        case = f"case {index.case_id}" + (f", repetition {index.repeat}" if index.repeat is not None else "")
        attempt = f"attempt {index.attempt}" if index.attempt else ""
        say("name      " + ", ".join(part for part in (index.name, case if index.case_id else "", attempt) if part))
    say(f"when      {moment(index.started_at)}, for {duration(index.duration_ns)}")
    hold = hold_of(bundle.store, bundle.key)
    parent = index.parent_run
    for label, value in (
        ("state", f"sealed, revision {index.revision}" if index.revision > 1 else "sealed"),
        ("hold", f"since {moment(hold.since)}: {hold.reason}" if hold else None),
        ("request", index.request_id), ("tenant", index.tenant_id), ("session", index.session_id),
        ("user", index.user_id),
        ("inside", f"{parent.run_id}{f', span {parent.span_id}' if parent.span_id else ''}" if parent else None),
        ("models", ", ".join(index.versions.models)),
        ("tokens", ", ".join(f"{v} {k.removesuffix('_tokens')}" for k, v in index.usage.items())),
    ):  # fmt: skip
        if value:
            say(f"{label:<9} {value}")
    _print_traces(index.trace_ids)
    if index.versions.git:
        changed = " with local changes" if index.versions.git.dirty else ""
        say(f"code      {index.versions.git.commit[:12]}{changed}")
    config = bundle.config().config
    if config is not None:
        say(cut(f"config    {to_json_bytes(config).decode().rstrip()}"))
    if index.result:
        say(f"result    {index.result.kind}, {size(index.result.bytes)}")
    if index.error and error:
        began = f", in span {index.error.span_id}" if index.error.span_id else ""
        say(f"error     {index.error.type}{began}")


def _print_traces(trace_ids: list[str]) -> None:
    from runbundle import settings

    pattern = settings.variable("RUNBUNDLE_TRACE_URL")
    usable = pattern.startswith(("https://", "http://")) and "{trace_id}" in pattern
    for number, trace in enumerate(trace_ids[:_LINKS]):
        shown = pattern.replace("{trace_id}", trace) if usable else trace
        say(f"{'trace' if not number else '':<9} {shown}")
    if len(trace_ids) > _LINKS:
        say(f"{'':<9} … {len(trace_ids) - _LINKS} more traces; --format json has them")
    if pattern and not usable:
        say("RUNBUNDLE_TRACE_URL is not used: it is no URL of http or https with {trace_id} in it", err=True)


def _print_calls(bundle: "Bundle", look: Look) -> None:
    from runbundle.bundle.listings import each_tool_call
    from runbundle.cli.commands.tools import print_calls
    from runbundle.cli.render import plural

    calls = list(islice(each_tool_call(bundle), None if look.every else _CALLS_SHOWN))
    if calls:
        say()
        print_calls(calls)
    if bundle.index.counts.tool_calls > len(calls):
        say(f"… {plural(bundle.index.counts.tool_calls - len(calls), 'more call')}; --all shows them")


def _print_events(bundle: "Bundle", columns: "SpanColumns", look: Look) -> None:
    """Print scores and the agent's own events. Of a long run only the first 200 span events are searched for them."""
    from runbundle.cli.render import cut, plural
    from runbundle.inspect.columns import event_at

    data = columns.data
    for kind in ("score", "span.event"):
        places = list(columns.others_of_kind(kind))
        read = places if look.every else places[:_EVENTS_READ]
        found = (event_at(bundle, data["at"][place], data["bytes"][place])["attributes"] for place in read)
        told = [text for attributes in found if (text := _told(kind, attributes))]
        shown = told if look.every else told[:_EVENTS_SHOWN]
        if shown:
            say()
        for text in shown:
            say(cut(text))
        if len(told) > len(shown):
            what = "more score" if kind == "score" else "more event of the agent's own"
            say(f"… {plural(len(told) - len(shown), what)}; --all shows them")
        if len(places) > len(read):
            say(f"… {plural(len(places) - len(read), 'span event')} not searched; --all searches them")


def _told(kind: str, said: dict[str, Any]) -> str:
    if kind == "score":
        label = f"  {said[semconv.SCORE_LABEL]}" if semconv.SCORE_LABEL in said else ""
        return f"score     {said.get(semconv.EVALUATION_NAME, '?')}  {said.get(semconv.SCORE_VALUE, '-')}{label}"
    if own.EVENT_NAME not in said:
        return ""
    rest = ", ".join(f"{k}={v}" for k, v in sorted(said.items()) if k not in (own.EVENT_NAME, own.RECEIPT))
    return f"event     {said[own.EVENT_NAME]}  {rest}".rstrip()


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


def _print_end(bundle: "Bundle", columns: "SpanColumns") -> None:
    """Print how much was retrieved and withheld, and whether anything is missing."""
    from runbundle.bundle.listings import each_retrieval
    from runbundle.cli.render import plural

    index = bundle.index
    say()
    if index.counts.retrievals:
        if index.counts.retrievals <= _EVENTS_READ:
            found = [len(retrieval.documents) for retrieval in each_retrieval(bundle)]
            say(f"evidence  {plural(sum(found), 'document')} in {plural(len(found), 'retrieval')}")
        else:
            say(f"evidence  {plural(index.counts.retrievals, 'retrieval')}")
    wrong = {status: sum(1 for _ in columns.with_status(status)) for status in ("error", "blocked", "cancelled")}
    if any(wrong.values()):
        ends = {"error": "ended in error", "blocked": "blocked", "cancelled": "cancelled"}
        say("errors    " + ", ".join(f"{plural(count, 'span')} {ends[s]}" for s, count in wrong.items() if count))
    rules: Counter[str] = Counter()
    for total in index.redaction.totals:  # a rule has one total for each of its actions
        rules[total.rule] += total.count
    say(f"withheld  {plural(rules.total(), 'value')}; prompts and outputs are digests only")
    if rules:
        most = rules.most_common(_RULES)
        rest = rules.total() - sum(count for _, count in most)
        by = [f"{count} by {rule}" for rule, count in most] + ([f"{rest} by others"] if rest else [])
        block("", ", ".join(by))
    if index.redaction.content_mode == "debug":
        say("WARNING   debug mode: raw content lies encrypted in the vault; see runbundle debug")
    state, said = index.completeness.state, index.completeness
    # More than expected are those of a process that died before it could say how many there were.
    some = said.spans_expected is not None and said.spans_expected >= said.spans_seen
    expected = f" of {said.spans_expected}" if some else ""
    why = "; nobody saw how many began: runbundle explain RB307" if state == "unknown" else ""
    say(f"complete  {'yes' if state == 'complete' else state}: {said.spans_seen}{expected} spans{why}")
    if said.dropped:
        say("lost      " + ", ".join(f"{count} {reason}" for reason, count in said.dropped.items()))
    if said.unread:
        spans = ", ".join(f"{plural(count, 'span')} of {scope}" for scope, count in said.unread.items())
        say(f"unread    {spans} could not be read")
    if index.resumed_from:
        say(f"resumed   from {index.resumed_from}; {plural(len(said.cut_off or []), 'span')} cut off before")
