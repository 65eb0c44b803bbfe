"""A gate as text: for people, as Markdown, as JUnit XML, and as annotations of GitHub Actions."""

import shlex
from collections.abc import Iterator
from typing import TYPE_CHECKING

import click

from runbundle.cli.options import store_flag
from runbundle.cli.printing import github, say, xml_attribute, xml_text
from runbundle.process.printable import printable

if TYPE_CHECKING:
    from runbundle.format.evaluation import Criterion, FlakyCase, Flip, Gate, RunEvent

MARK = "<!-- runbundle gate -->"
"""The first line of the Markdown, by which a job finds its earlier comment."""
_SHOWN = 5
_LEVELS = {"fail": "error", "error": "error", "inconclusive": "warning"}


def print_human(gate: "Gate", stores: tuple[str, str]) -> None:
    """Print a gate for people: the verdict, each check, and where to look.

    `stores`: the URLs of the stores in which the baseline's and the candidate's runs are.
    """
    print_gate(gate)
    first = next((e for c in gate.criteria for e in c.evidence if e.span_id), None)
    if first is not None:
        say(f"next: runbundle show {first.run_id} --span {first.span_id}{store_flag(stores[1])}")
    flip = next((flip for c in gate.criteria for flip in c.flips if flip.causes and c.verdict != "pass"), None)
    if flip is not None:
        other = "" if stores[0] == stores[1] else f" --store-b {shlex.quote(stores[1])}"
        say(f"next: runbundle diff {flip.baseline_run} {flip.candidate_run}{store_flag(stores[0])}{other}")


def print_gate(gate: "Gate") -> None:
    """Print the verdict of a gate, each check, and the remarks."""
    say("gate  ", gate.verdict, f"   {sides_text(gate)}")
    for criterion in gate.criteria:
        say("  ", criterion.verdict, f"{' ' * (14 - len(criterion.verdict))}{_title(criterion)}")
        say(f"{' ' * 16}{criterion.reason or ''}")
        for event in criterion.evidence[:_SHOWN]:
            say(f"{' ' * 16}{event_text(event)}")
        _more(len(criterion.evidence))
        for flip in criterion.flips[:_SHOWN]:
            say(f"{' ' * 16}{_moved_text(flip)}")
            for line in _why(flip):
                say(f"{' ' * 18}{line}")
        _more(len(criterion.flips))
    for flaky in gate.flaky:
        say(f"  {flaky_text(flaky)}")
    for note in notes_of(gate):
        say(f"  {note}")


def markdown(gate: "Gate") -> str:
    """Return a gate as Markdown for a comment or a summary. It begins with a mark that is not shown."""
    lines = [
        MARK,
        f"### Gate: {gate.verdict}",
        "",
        _cell(sides_text(gate)),
        "",
        "| check | verdict | why |",
        "|---|---|---|",
    ]
    lines += [f"| {_cell(_title(c))} | {c.verdict} | {_cell(c.reason or '')} |" for c in gate.criteria]
    events = [event for criterion in gate.criteria for event in criterion.evidence[:_SHOWN]]
    flips = [flip for criterion in gate.criteria for flip in criterion.flips[:_SHOWN]]
    if events or flips:
        lines.append("")
    lines += [f"- {_cell(event_text(event))}" for event in events]
    lines += [f"- {_cell(flip_text(flip))}" for flip in flips]
    lines += [f"- {_cell(flaky_text(flaky))}" for flaky in gate.flaky]
    notes = notes_of(gate)
    return "\n".join([*lines, *(["", *(f"- {_cell(note)}" for note in notes)] if notes else []), ""])


def junit(gate: "Gate") -> str:
    """Return a gate as JUnit XML: a case for each check. A doubt is skipped, which CI systems show as such."""
    cases: list[str] = []
    for criterion in gate.criteria:
        lines = [criterion.reason or "", *map(event_text, criterion.evidence[:_SHOWN])]
        lines += map(flip_text, criterion.flips[:_SHOWN])
        text = "\n".join(map(xml_text, lines))
        message = xml_attribute(criterion.reason or criterion.verdict)
        inner = {
            "fail": f"<failure message={message}>{text}</failure>",
            "error": f"<error message={message}>{text}</error>",
            "inconclusive": f"<skipped message={message}/>",
            "pass": "",
        }[criterion.verdict]
        if criterion.verdict in ("fail", "inconclusive") and (criterion.waived or not criterion.blocking):
            inner = f"<skipped message={xml_attribute(_title(criterion))}/>"
        cases.append(
            f'  <testcase classname="runbundle.gate" name={xml_attribute(criterion.name)}>{inner}</testcase>\n'
        )
    counts = {word: sum(f"<{word} " in case for case in cases) for word in ("failure", "error", "skipped")}
    return (
        '<?xml version="1.0" encoding="UTF-8"?>\n'
        f'<testsuite name="runbundle gate" tests="{len(cases)}" failures="{counts["failure"]}"'
        f' errors="{counts["error"]}" skipped="{counts["skipped"]}">\n{"".join(cases)}</testsuite>\n'
    )


def annotations(gate: "Gate", policy: str, lines: dict[str, int]) -> Iterator[str]:
    """Yield an annotation for each check that did not pass, at its line of the policy."""
    for criterion in gate.criteria:
        if criterion.verdict == "pass":
            continue
        level = _LEVELS[criterion.verdict] if criterion.blocking and not criterion.waived else "notice"
        said = [*map(event_text, criterion.evidence[:_SHOWN]), *map(flip_text, criterion.flips[:_SHOWN])]
        where = "; ".join(said)
        message = f"{criterion.verdict}: {criterion.reason or ''}{f' ({where})' if where else ''}"
        yield github(level, f"gate {criterion.name}", message, file=policy, line=lines.get(criterion.name, 1))


def sides_text(gate: "Gate") -> str:
    """Return what was compared with what, in words."""
    candidate = sum(subject.side == "candidate" for subject in gate.subjects)
    baseline = sum(subject.side == "baseline" for subject in gate.subjects)
    text = f"{candidate} candidate run{'' if candidate == 1 else 's'}"
    if baseline:
        named = f" ({gate.baseline.name}, entry {gate.baseline.number})" if gate.baseline else ""
        text += f" against {baseline} of the baseline{named}"
    return text


def event_text(event: "RunEvent") -> str:
    """Return an event of a run for people: code of a cause, run, span, number of the event, and what happened."""
    place = f" span {event.span_id}" if event.span_id else ""
    place += f" event {event.seq}" if event.seq is not None else ""
    return f"{f'{event.code} ' if event.code else ''}{event.run_id}{place}: {event.what}"


def flip_text(flip: "Flip") -> str:
    """Return a case that flipped for people, with why its runs differ."""
    return f"{_moved_text(flip)} ({'; '.join(_why(flip))})"


def _moved_text(flip: "Flip") -> str:
    return f"case {flip.case_id}: {flip.baseline:.4g} → {flip.candidate:.4g}"


def _why(flip: "Flip") -> list[str]:
    return [*map(event_text, flip.causes), *([flip.note] if flip.note else [])]


def flaky_text(flaky: "FlakyCase") -> str:
    """Return a case that is not reliable for people."""
    return (
        f"not reliable in the baseline: case {flaky.case_id}, {flaky.metric} in {flaky.rate:.0%} of {flaky.runs} runs"
    )


def notes_of(gate: "Gate") -> list[str]:
    """Return the remarks of a gate, with one about repeated looks and one for each waiver in force."""
    notes = [
        f"waived until {w.expires} by {w.by}: {w.check} ({w.reason})" for w in gate.waivers if w.in_force
    ]  # fmt: skip
    if gate.looks is not None and gate.looks > 1:
        notes.append(f"look {gate.looks} at this candidate: a gate that is made again until it passes proves little")
    return [*notes, *gate.notes]


def _title(criterion: "Criterion") -> str:
    metric = criterion.metric if criterion.metric != criterion.name else ""
    said = [metric or "", "waived" if criterion.waived else "", "" if criterion.blocking else "not blocking"]
    extra = ", ".join(word for word in said if word)
    return f"{criterion.name}{f' ({extra})' if extra else ''}"


def _more(count: int) -> None:
    if count > _SHOWN:
        click.echo(f"{' ' * 16}… and {count - _SHOWN} more; --format json has them")


def _cell(text: str) -> str:
    """Return text for Markdown in which nothing is markup, an image or a mention."""
    shown = printable(text).replace("\\", "\\\\")
    for sign in "|<>[]`*_@#!":
        shown = shown.replace(sign, f"&#{ord(sign)};" if sign in "<>@#" else f"\\{sign}")
    return shown
