"""Ten questions that somebody has at 3 a.m. about the runs of a store: the command and the clicks that answer each.

The store is that of `mixed_store`, with 300 runs, and one run of 100,000 spans beside them.
"""

import contextlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Literal, NamedTuple

from click.testing import CliRunner

import runbundle
from runbundle.cli.main import group
from tests.support.mixed_store import CRASHED, LIVE, Mixed, mixed_store, run_id

RUNS, SPANS = 300, 100_000
_FAILED, _BLOCKED = 290, 282  # `refund` timed out in the first; `wire_money` was refused in the second
FAILED, BLOCKED = f"initech/{run_id(_FAILED)}", f"acme/{run_id(_BLOCKED)}"


class Step(NamedTuple):
    """What a person does on the page."""

    act: Literal["filter", "choose", "row", "tab", "more"]
    """Click into the field `what` of the list and type; choose from the list `what`, which is two clicks; click on the
    row in which `what` stands, on the tab `what`, or on `more filters`."""
    what: str = ""
    text: str = ""

    @property
    def clicks(self) -> int:
        """The number of clicks."""
        return 2 if self.act == "choose" else 1


class Question(NamedTuple):
    """A question, and how it is answered. In braces stands what is found out from the store."""

    asked: str
    command: tuple[str, ...]
    """Arguments of `runbundle`, without `--store`."""
    answer: tuple[str, ...]
    """What its output has to say, at 80 columns and in a pipe."""
    steps: tuple[Step, ...]
    """What is done on the page, from the list of all runs."""
    seen: tuple[str, ...]
    """What the page then has to say."""

    @property
    def clicks(self) -> int:
        """The number of clicks."""
        return sum(step.clicks for step in self.steps)


_FIND_FAILED = (Step("filter", "text", run_id(_FAILED)[:8]), Step("row", "refund: TimeoutError"))
QUESTIONS = (
    Question(
        "Which runs of the tool refund failed since yesterday, and why?",
        ("ls", "--tool-error", "refund", "--since", "1d"),
        ("refund: TimeoutError", run_id(_FAILED)[:8], "initech"),
        (Step("filter", "tool-error", "refund"), Step("filter", "since", "1d")),
        ("refund: TimeoutError: payments did not answer within 8 s", run_id(_FAILED)[:8], "initech"),
    ),
    Question(
        "Why did this run fail, and where in the code?",
        ("show", "{failed}"),
        ("TimeoutError: payments did not answer within 8 s", "execute_tool refund", "mixed_store.py"),
        _FIND_FAILED,
        ("execute_tool refund: TimeoutError: payments did not answer within 8 s", "mixed_store.py"),
    ),
    Question(
        "What was withheld in the span that failed, and by which rule?",
        ("show", "{failed}", "--span", "{span}"),
        ("withheld:", "arguments", "contract:refund:undeclared"),
        _FIND_FAILED,
        ("Withheld: 2 values", "arguments", "contract:refund:undeclared"),
    ),
    Question(
        "The backend shows a trace: which run is it of?",
        ("ls", "--trace", "{trace}"),
        (run_id(_FAILED)[:8], "initech", "error"),
        (Step("more"), Step("filter", "trace", "{trace}")),
        ("1 run of", run_id(_FAILED)[:8], "initech"),
    ),
    Question(
        "What did policy refuse in this run, by which rule?",
        ("show", "{blocked}", "--errors"),
        ("wire_money", "blocked by contract:wire_money:require_approval"),
        (Step("filter", "text", run_id(_BLOCKED)[:8]), Step("row", "blocked: wire_money"), Step("tab", "policy")),
        ("blocked", "wire_money", "contract:wire_money:require_approval"),
    ),
    Question(
        "Is a run going on, and what is it doing now?",
        ("tail", "{live}"),
        ("tool find_order", "> tool refund", "live: a process is writing it"),
        (Step("choose", "state", "live"), Step("row", LIVE[:8])),
        ("live", "execute_tool find_order", "refund", "open"),
    ),
    Question(
        "A process died: what was it doing, and what is to be done?",
        ("show", "{crashed}"),
        ("crashed", "tool:refund", "runbundle recover"),
        (Step("choose", "state", "crashed"), Step("row", CRASHED[:8]), Step("tab", "integrity")),
        ("crashed", "tool:refund", "runbundle recover"),
    ),
    Question(
        "Which runs of the user mallory took 8 seconds or longer?",
        ("ls", "--user", "mallory", "--min-duration", "8s"),
        ("TimeoutError", "9."),
        (Step("more"), Step("filter", "user", "mallory"), Step("filter", "min-duration", "8s")),
        ("15 runs of", "refund: TimeoutError"),
    ),
    Question(
        "Is this bundle what was sealed, and is it whole?",
        ("verify", "{failed}"),
        ("verified", "integrity     pass", "completeness  pass"),
        (*_FIND_FAILED, Step("tab", "integrity")),
        ("integrity", "pass", "complete", "events.jsonl"),
    ),
    Question(
        "Where does the time go in a run of 100,000 spans?",
        ("show", "long", "--slow"),
        ("OWN TIME", "chat m", "50.0 µs"),
        (Step("filter", "text", "long"), Step("row", "long"), Step("choose", "Rows", "slowest")),
        ("100,000 spans", "chat m"),
    ),
)  # fmt: skip


@contextlib.contextmanager
def night_store(root: Path) -> Iterator[Mixed]:
    """Make the store below `root`, with its live run in a process of its own."""
    from tests.benchmarks import large

    with mixed_store(root, RUNS) as made:
        large.write_journal(root / ".spool" / large.RUN, SPANS)
        large.step("seal", root)
        yield made


def known(made: Mixed) -> dict[str, str]:
    """Return what stands for the words in braces."""
    failure = runbundle.open_store(made.store).run(FAILED).failure()
    assert failure is not None
    return {
        "failed": FAILED, "blocked": BLOCKED, "live": f"acme/{LIVE}", "crashed": f"acme/{CRASHED}",
        "span": failure.span.span_id[:6], "trace": failure.span.trace_id,
    }  # fmt: skip


def said(made: Mixed, question: Question, words: dict[str, str], *, columns: int | None = None) -> str:
    """Ask by command and return its output; `columns`: on a terminal of that width, else in a pipe."""
    command = [part.format(**words) for part in question.command]
    env = {"COLUMNS": str(columns)} if columns else {}
    done = CliRunner(env=env).invoke(group, [*command, "--store", made.url], catch_exceptions=False)
    assert done.exit_code in (0, 3), done.output  # 3: the run is not sealed
    return done.output


if __name__ == "__main__":
    import sys

    with night_store(Path(sys.argv[1])) as there:
        print(json.dumps({"store": there.url, **known(there)}))
        with contextlib.suppress(KeyboardInterrupt):
            there.live.wait()
