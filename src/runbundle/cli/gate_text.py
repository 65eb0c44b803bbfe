"""A gate as text: for people, as Markdown, as JUnit XML, and as annotations of GitHub Actions."""

import shlex
from collections.abc import Iterator
from typing import TYPE_CHECKING

from runbundle.cli.options import store_flag
from runbundle.cli.printing import github, markdown_text, say, xml_attribute, xml_text
from runbundle.compare.gating.told import (
    SHOWN,
    event_text,
    flaky_text,
    flip_text,
    lines_of,
    notes_of,
    sides_text,
    title,
)

if TYPE_CHECKING:
    from runbundle.format.evaluation import Gate

MARK = "<!-- runbundle gate -->"
"""The first line of the Markdown, by which a job finds its earlier comment."""
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
    for text, status, rest in lines_of(gate):
        say(text, status, rest)


def markdown(gate: "Gate") -> str:
    """Return a gate as Markdown for a comment or a summary. It begins with a mark that is not shown."""
    lines = [
        MARK,
        f"### Gate: {gate.verdict}",
        "",
        markdown_text(sides_text(gate)),
        "",
        "| check | verdict | why |",
        "|---|---|---|",
    ]
    lines += [f"| {markdown_text(title(c))} | {c.verdict} | {markdown_text(c.reason or '')} |" for c in gate.criteria]
    events = [event for criterion in gate.criteria for event in criterion.evidence[:SHOWN]]
    flips = [flip for criterion in gate.criteria for flip in criterion.flips[:SHOWN]]
    if events or flips:
        lines.append("")
    lines += [f"- {markdown_text(event_text(event))}" for event in events]
    lines += [f"- {markdown_text(flip_text(flip))}" for flip in flips]
    lines += [f"- {markdown_text(flaky_text(flaky))}" for flaky in gate.flaky]
    notes = notes_of(gate)
    return "\n".join([*lines, *(["", *(f"- {markdown_text(note)}" for note in notes)] if notes else []), ""])


def junit(gate: "Gate") -> str:
    """Return a gate as JUnit XML: a case for each check. A doubt is skipped, which CI systems show as such."""
    cases: list[str] = []
    for criterion in gate.criteria:
        lines = [criterion.reason or "", *map(event_text, criterion.evidence[:SHOWN])]
        lines += map(flip_text, criterion.flips[:SHOWN])
        text = "\n".join(map(xml_text, lines))
        message = xml_attribute(criterion.reason or criterion.verdict)
        inner = {
            "fail": f"<failure message={message}>{text}</failure>",
            "error": f"<error message={message}>{text}</error>",
            "inconclusive": f"<skipped message={message}/>",
            "pass": "",
        }[criterion.verdict]
        if criterion.verdict in ("fail", "inconclusive") and (criterion.waived or not criterion.blocking):
            inner = f"<skipped message={xml_attribute(title(criterion))}/>"
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
        said = [*map(event_text, criterion.evidence[:SHOWN]), *map(flip_text, criterion.flips[:SHOWN])]
        where = "; ".join(said)
        message = f"{criterion.verdict}: {criterion.reason or ''}{f' ({where})' if where else ''}"
        yield github(level, f"gate {criterion.name}", message, file=policy, line=lines.get(criterion.name, 1))
