"""A run that is not sealed, as `open_store(...).unsealed(...)` gives it to programs."""

from functools import cached_property

from runbundle.inspect.columns import SpanColumns, columns_of
from runbundle.inspect.recorded_run import RecordedRun
from runbundle.inspect.snapshot import snapshot
from runbundle.recording.waiting import Unsealed


class UnsealedRun(RecordedRun):
    """What was recorded of a run that is not sealed, at the moment at which it was opened.

    Made by `Store.unsealed`. It has no status, and nothing to verify it by. What is written later is not in it: open it
    again. In `events()` a span that has not ended has an end that says `interrupted`, as a seal now would write it.
    """

    def __init__(self, run: Unsealed) -> None:
        super().__init__(snapshot(run))
        self._run = run
        self._unended = "open" if run.state == "live" else "interrupted"

    def __repr__(self) -> str:
        return f"UnsealedRun({self.key!r}, state={self.state!r})"

    @property
    def state(self) -> str:
        """`live`: a process writes it. `waiting`: for its seal. `crashed`: its process died. `failed`: no seal worked.

        It was so when the run was opened.
        """
        return self._run.state

    @property
    def note(self) -> str:
        """Why it could not be sealed; empty if nobody gave up."""
        return self._run.note

    @cached_property
    def columns(self) -> SpanColumns:
        """The span columns, from which `spans` and `errors` read. They are not kept in the user's cache."""
        return columns_of(self._bundle, keep=False)
