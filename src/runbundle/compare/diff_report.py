"""Model of the report of `diff`: plain data that the command line, the API and tests render."""

from typing import Any, Literal

from pydantic import Field, model_serializer

from runbundle.format.base import Count, Nanoseconds, Record, Sha256

Outcome = Literal["same", "different", "unknown"]


class DiffSubject(Record):
    """One of the two runs."""

    run_id: str
    """Id of the run."""
    tenant_id: str | None = None
    """Whose run it is; absent if it is nobody's."""
    name: str | None = None
    """Name of the run."""
    sha256: Sha256
    """SHA-256 of its run.json."""
    status: str
    """How the run ended."""
    steps: Count
    """Number of its steps: spans of runs, agents, steps, models, tools and retrievals."""


class DiffCause(Record):
    """What made the runs differ, as far as it can be told from what they recorded."""

    code: str
    """Code of the cause, `RB601` to `RB609`; `runbundle explain CODE` describes each."""
    sentence: str
    """The cause in one sentence."""
    a_span_id: str | None = None
    """Id of the span in A where it shows first; absent if it is of the run as a whole, or A has no such span."""
    b_span_id: str | None = None
    """Id of that span in B."""


class Patch(Record):
    """One operation of JSON Patch (RFC 6902)."""

    op: Literal["add", "remove", "replace"]
    """What is done."""
    path: str
    """Where (RFC 6901)."""
    value: Any = None
    """The new value; absent for `remove`."""
    was: Any = None
    """The value before; absent for `add`."""

    @model_serializer
    def _said(self) -> dict[str, Any]:
        """Return the fields that this operation has: null is a value, too, and is not left out."""
        value = {} if self.op == "remove" else {"value": self.value}
        return {"op": self.op, "path": self.path, **value, **({} if self.op == "add" else {"was": self.was})}


class ValueDiff(Record):
    """How one value of a step differs."""

    value: Literal["arguments", "result", "query", "documents", "prompt", "answer", "status", "model", "config"]
    """Which value it is."""
    patch: list[Patch] = Field(default_factory=list[Patch])
    """The difference of what the bundles show of it, from A to B; empty if they show the same, or nothing."""
    hidden: bool = False
    """Whether the values differ though the bundles show the same: their digests do."""


class StepDiff(Record):
    """One difference between the steps of the runs."""

    verdict: Literal["changed", "added", "removed", "moved"]
    """`changed`: the step is in both, and something of it differs. `moved`: it was given the same, and stands
    elsewhere. `added`, `removed`: only B, or only A, has it."""
    op: str
    """Kind of work of the step."""
    name: str
    """Its name: of the tool, the agent, the retriever, the operation of a model call."""
    a_span_id: str | None = None
    """Id of its span in A."""
    b_span_id: str | None = None
    """Id of its span in B."""
    steps: Count = 1
    """Number of steps that came or went with it, itself included."""
    follows: bool = False
    """Whether it follows from an earlier difference: a prompt that repeats it, or the end of a step around it."""
    equal_before: Count = 0
    """Number of equal steps between the difference before this one and this."""
    values: list[ValueDiff] = Field(default_factory=list[ValueDiff])
    """What of it differs."""


class ToolCount(Record):
    """How often a tool was called."""

    tool: str
    """Name of the tool."""
    a: Count
    """Number of calls in A."""
    b: Count
    """Number of calls in B."""


class Total(Record):
    """A number of both runs."""

    what: str
    """What is counted: `input_tokens`, `errors`, `duration_ns`, …"""
    a: Count
    """In A."""
    b: Count
    """In B."""


class DiffReport(Record):
    """The report: whether the runs differ, why, and in what."""

    schema_: Literal["runbundle/diff_report/v1"] = Field(default="runbundle/diff_report/v1", alias="schema")
    """Name and version of the format."""
    outcome: Outcome
    """`same`: nothing differs but times, ids, and what `also` names. `unknown`: nothing was found to differ, but of
    some steps nobody can tell."""
    a: DiffSubject
    """The first run, such as the baseline."""
    b: DiffSubject
    """The second run, such as the candidate."""
    cause: DiffCause | None = None
    """The cause that is most upstream; absent if the runs are the same."""
    causes: list[DiffCause] = Field(default_factory=list[DiffCause])
    """All that could be a cause, most upstream first."""
    also: list[str] = Field(default_factory=list[str])
    """What else differs and is no cause by itself: commit, Python, SDK, machine."""
    config: list[Patch] = Field(default_factory=list[Patch])
    """The difference of the configurations."""
    same_steps: Count
    """Number of steps that are the same in both."""
    changes: list[StepDiff]
    """The differences between steps, in the order in which they happened, at most `changes_total`."""
    changes_total: Count
    """Number of differences, listed or not."""
    tools: list[ToolCount] = Field(default_factory=list[ToolCount])
    """Calls by tool, of those whose numbers differ first."""
    totals: list[Total] = Field(default_factory=list[Total])
    """Other numbers of the runs."""
    duration_ns: tuple[Nanoseconds, Nanoseconds] = ("0", "0")
    """How long the runs took, in nanoseconds."""
    is_fewest: bool = True
    """Whether the steps were paired so that the fewest differ. If not, there were too many differences to look for
    that: what is listed is a difference, and a shorter list may exist."""
    unknown: Count = 0
    """Steps, of both runs, of which nobody can tell whether they are equal: something of them is neither shown nor
    digested, or was not recorded whole."""
    limits: str = ""
    """Statement of what comparing two bundles cannot tell."""
