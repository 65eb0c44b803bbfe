"""The report of `diff` as text: for a terminal, and as Markdown for a comment on a pull request."""

import sys
from collections.abc import Iterator
from itertools import groupby
from typing import Any

import click

from runbundle.cli.options import store_flag
from runbundle.cli.printing import json_text, markdown_code, markdown_text, say
from runbundle.cli.render import duration, plural, width
from runbundle.compare.diff_report import DiffCause, DiffReport, Patch, StepDiff, ValueDiff
from runbundle.process.printable import printable

_SIGNS = {"added": "+", "removed": "-", "changed": "~", "moved": "↕"}
_COLOURS = {"added": "green", "removed": "red", "changed": "yellow", "moved": "cyan"}
_PLURAL = frozenset({"arguments", "documents"})
_WIDE = 140
_SHORT = 60
_PATCHES = 12
"""Operations that are printed of one value."""


def print_report(report: DiffReport, stores: tuple[str, str], *, side_by_side: bool = False) -> None:
    """Print a report for people: the cause first, then what differs, then totals. `stores`: the URLs of A's and B's."""
    beside = side_by_side or width() >= _WIDE
    say(headline(report))
    for cause in report.causes[1:]:
        say(f"  also {cause.code}  {cause_text(cause)}")
    say()
    say(f"A  {_named(report, 'a')}")
    say(f"B  {_named(report, 'b')}")
    if report.also:
        say(f"   also: {'; '.join(report.also)}")
    if report.config:
        say()
        say("configuration")
        for one in report.config[:_PATCHES]:
            say(f"  {operation(one)}")
    _steps(report, beside)
    _totals(report)
    for line in _remarks(report):
        say(line)
    if report.cause is not None and (report.cause.a_span_id or report.cause.b_span_id):
        for side, url in zip(("a", "b"), stores, strict=True):
            if told := _show(report, side):
                say(f"next: {told}{store_flag(url)}")


def headline(report: DiffReport) -> str:
    """Return the first line: the cause with its code, or that the runs are the same."""
    if report.cause is None:
        told = {"same": "same: nothing differs but times and ids", "unknown": "not known: nothing was found to differ"}
        return told.get(report.outcome, "different")
    more = len(report.causes) - 1
    return f"{report.cause.code}  {report.cause.sentence}" + (f" (and {plural(more, 'other cause')})" if more else "")


def cause_text(cause: DiffCause) -> str:
    """Return a cause as a sentence, with the spans where it shows."""
    spans = _spans(cause.a_span_id, cause.b_span_id)
    return f"{cause.sentence}{f'  [{spans}]' if spans else ''}"


def operation(one: Patch) -> str:
    """Return one operation of a difference as a line: path, value before, value after."""
    path = one.path or "/"
    if one.op == "add":
        return f"+ {path}: {_value(one.value)}"
    if one.op == "remove":
        return f"- {path}: {_value(one.was)}"
    return f"~ {path}: {_value(one.was)} → {_value(one.value)}"


def markdown(report: DiffReport) -> str:
    """Return a report as Markdown."""
    lines = [f"**{markdown_text(headline(report))}**", ""]
    lines += [f"- also {cause.code}: {markdown_text(cause_text(cause))}" for cause in report.causes[1:]]
    lines += ["", "| | A | B |", "|---|---|---|"] if report.causes[1:] else ["| | A | B |", "|---|---|---|"]
    lines += [f"| run | `{markdown_code(report.a.run_id)}` | `{markdown_code(report.b.run_id)}` |"]
    lines += [f"| status | {markdown_text(report.a.status)} | {markdown_text(report.b.status)} |"]
    lines += [f"| took | {duration(report.duration_ns[0])} | {duration(report.duration_ns[1])} |"]
    lines += [f"| {markdown_text(one.what)} | {one.a} | {one.b} |" for one in report.totals if one.a != one.b]
    lines += [f"| calls of {markdown_text(one.tool)} | {one.a} | {one.b} |" for one in report.tools if one.a != one.b]
    if report.config:
        lines += [
            "",
            "Configuration:",
            "",
            *[f"- `{markdown_code(operation(one))}`" for one in report.config[:_PATCHES]],
        ]
    shown = [change for change in report.changes if not change.follows]
    if shown:
        lines += ["", "Steps:", ""]
    for change in shown[:50]:
        lines.append(f"- `{_SIGNS[change.verdict]}` {markdown_text(_title(change))}")
        for value in change.values:
            lines += [f"  - `{markdown_code(line)}`" for line in _value_lines(value)]
    lines += ["", *[f"_{markdown_text(line)}_" for line in _remarks(report)]]
    return "\n".join(lines).rstrip() + "\n"


def _named(report: DiffReport, side: str) -> str:
    one, took = (report.a, report.duration_ns[0]) if side == "a" else (report.b, report.duration_ns[1])
    name = f"{one.name}, " if one.name else ""
    return f"{one.run_id}  {name}{one.status}, {plural(one.steps, 'step')}, {duration(took)}"


def _steps(report: DiffReport, beside: bool) -> None:
    if not report.changes:
        return
    say()
    say(f"steps: {report.same_steps} the same, {report.changes_total} not")
    for follows, group in groupby(report.changes, key=lambda change: change.follows):
        changes = list(group)
        if follows:
            equal = sum(change.equal_before for change in changes)
            among = f", among {equal} equal" if equal else ""
            say(f"  ⋯ {plural(len(changes), 'step')} more, by what follows from it{among}")
            continue
        for change in changes:
            if change.equal_before:
                say(f"  ⋯ {plural(change.equal_before, 'equal step')}")
            click.echo(f"  {_sign(change)} {printable(_title(change))}")
            for value in change.values:
                for line in _beside(value) if beside else _value_lines(value):
                    say(f"      {line}")
    left = report.same_steps - sum(change.equal_before for change in report.changes)
    if left and report.changes_total == len(report.changes):
        say(f"  ⋯ {plural(left, 'equal step')}")
    if report.changes_total > len(report.changes):
        say(f"  ⋯ {report.changes_total - len(report.changes)} more: --full lists them")


def _sign(change: StepDiff) -> str:
    sign = _SIGNS[change.verdict]
    return click.style(sign, fg=_COLOURS[change.verdict]) if sys.stdout.isatty() else sign


def _title(change: StepDiff) -> str:
    more = f" and {plural(change.steps - 1, 'step')} beneath it" if change.steps > 1 else ""
    what = ", ".join(
        f"{value.value} {'differ' if value.value in _PLURAL else 'differs'}" + (" (not shown)" if value.hidden else "")
        for value in change.values
    )
    return (
        f"{change.op} {change.name}{more}{f': {what}' if what else ''}  [{_spans(change.a_span_id, change.b_span_id)}]"
    )


def _spans(a: str | None, b: str | None) -> str:
    return ", ".join(f"{side} {span_id}" for side, span_id in (("A", a), ("B", b)) if span_id)


def _value_lines(value: ValueDiff) -> Iterator[str]:
    if value.hidden:
        return
    for one in value.patch[:_PATCHES]:
        yield f"{value.value} {operation(one)}"
    if len(value.patch) > _PATCHES:
        yield f"{value.value}: {len(value.patch) - _PATCHES} more"


def _beside(value: ValueDiff) -> Iterator[str]:
    if value.hidden:
        return
    room = max(20, (width() - 40) // 2)
    for one in value.patch[:_PATCHES]:
        left = "" if one.op == "add" else _value(one.was, room)
        right = "" if one.op == "remove" else _value(one.value, room)
        yield f"{value.value + (one.path or ''):<28.28} {printable(left):<{room}} │ {printable(right)}"


def _totals(report: DiffReport) -> None:
    differing = [(one.what.replace("_", " "), one.a, one.b) for one in report.totals if one.a != one.b]
    differing += [(f"calls of {one.tool}", one.a, one.b) for one in report.tools if one.a != one.b]
    if differing:
        say()
        longest = max(len(what) for what, _, _ in differing)
        for what, a, b in differing:
            say(f"  {what:<{longest}}  {a:>10,} → {b:>10,}  {b - a:+,}")


def _remarks(report: DiffReport) -> Iterator[str]:
    if report.unknown:
        yield f"not compared: values of {plural(report.unknown, 'step')} that are not shown, or not recorded whole"
    if not report.is_fewest:
        yield "so much differs that the steps were paired piece by piece: a shorter list of differences may exist"
    if report.cause is not None:
        yield f"not proven: {report.limits}"


def _show(report: DiffReport, side: str) -> str:
    cause = report.cause
    span = (cause.a_span_id if side == "a" else cause.b_span_id) if cause is not None else None
    run = report.a.run_id if side == "a" else report.b.run_id
    return f"runbundle show {run} --span {span}" if span else ""


def _value(value: Any, room: int = _SHORT) -> str:
    text = value if isinstance(value, str) and "\n" not in value else json_text(value).rstrip("\n")
    return text if len(text) <= room else f"{text[: room - 1]}…"
