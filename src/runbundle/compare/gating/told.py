"""A gate in words: what every format says of it."""

from collections.abc import Iterator

from runbundle.format.evaluation import Criterion, FlakyCase, Flip, Gate, RunEvent

SHOWN = 5
"""Events and flipped cases of a check that are written out; JSON has all."""
_IN = " " * 16


def lines_of(gate: Gate) -> Iterator[tuple[str, str, str]]:
    """Yield a gate line by line, for people: text, a word of status or nothing, and the rest."""
    yield "gate  ", gate.verdict, f"   {sides_text(gate)}"
    for criterion in gate.criteria:
        yield "  ", criterion.verdict, f"{' ' * (14 - len(criterion.verdict))}{title(criterion)}"
        said = [criterion.reason or "", *map(event_text, criterion.evidence[:SHOWN]), *_more(len(criterion.evidence))]
        for flip in criterion.flips[:SHOWN]:
            said += [_moved_text(flip), *(f"  {why}" for why in _why(flip))]
        for text in (*said, *_more(len(criterion.flips))):
            yield f"{_IN}{text}", "", ""
    for text in (*map(flaky_text, gate.flaky), *notes_of(gate)):
        yield f"  {text}", "", ""


def sides_text(gate: Gate) -> str:
    """Return what was compared with what, in words."""
    candidate = sum(subject.side == "candidate" for subject in gate.subjects)
    baseline = sum(subject.side == "baseline" for subject in gate.subjects)
    text = f"{candidate} candidate run{'' if candidate == 1 else 's'}"
    if baseline:
        named = f" ({gate.baseline.name}, entry {gate.baseline.number})" if gate.baseline else ""
        text += f" against {baseline} of the baseline{named}"
    return text


def event_text(event: RunEvent) -> str:
    """Return an event of a run for people: code of a cause, run, span, number of the event, and what happened."""
    place = f" span {event.span_id}" if event.span_id else ""
    place += f" event {event.seq}" if event.seq is not None else ""
    return f"{f'{event.code} ' if event.code else ''}{event.run_id}{place}: {event.what}"


def flip_text(flip: Flip) -> str:
    """Return a case that flipped for people, with why its runs differ."""
    return f"{_moved_text(flip)} ({'; '.join(_why(flip))})"


def _moved_text(flip: Flip) -> str:
    return f"case {flip.case_id}: {flip.baseline:.4g} → {flip.candidate:.4g}"


def _why(flip: Flip) -> list[str]:
    return [*map(event_text, flip.causes), *([flip.note] if flip.note else [])]


def flaky_text(flaky: FlakyCase) -> str:
    """Return a case that is not reliable for people."""
    return (
        f"not reliable in the baseline: case {flaky.case_id}, {flaky.metric} in {flaky.rate:.0%} of {flaky.runs} runs"
    )


def notes_of(gate: Gate) -> list[str]:
    """Return the remarks of a gate, with one about repeated looks and one for each waiver in force."""
    notes = [
        f"waived until {w.expires} by {w.by}: {w.check} ({w.reason})" for w in gate.waivers if w.in_force
    ]  # fmt: skip
    if gate.looks is not None and gate.looks > 1:
        notes.append(f"look {gate.looks} at this candidate: a gate that is made again until it passes proves little")
    return [*notes, *gate.notes]


def title(criterion: Criterion) -> str:
    """Return the name of a check, with its score and whether it decides."""
    metric = criterion.metric if criterion.metric != criterion.name else ""
    said = [metric or "", "waived" if criterion.waived else "", "" if criterion.blocking else "not blocking"]
    extra = ", ".join(word for word in said if word)
    return f"{criterion.name}{f' ({extra})' if extra else ''}"


def _more(count: int) -> list[str]:
    return [f"… and {count - SHOWN} more; --format json has them"] if count > SHOWN else []
