"""What the fixture `runbundle_run` gives a test: the runs that were recorded, and assertions about their tool calls."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, cast

from runbundle.format.tool_calls import CallEntry
from runbundle.inspect.open_store import open_store
from runbundle.inspect.sealed_run import SealedRun
from runbundle.process.printable import printable
from runbundle.redaction.markers import MARKER

if TYPE_CHECKING:
    from runbundle.otel.handle import Handle

_SHOWN = 50
_REFUSED = ("blocked", "denied")


class RecordedRuns:
    """The runs of a test, in the order in which they were sealed, and assertions about the calls of all of them.

    A run can be asked when it has ended. An assertion that fails shows what was called, with the arguments that
    contracts keep.
    """

    def __init__(self, handle: "Handle") -> None:
        self.handle = handle
        """The handle of the configuration: its store, `flush()`, and the tracer provider."""
        self._keys: list[str] = []

    @property
    def runs(self) -> list[SealedRun]:
        """The runs that have ended so far. Fails if one of them could not be sealed, or lost a record."""
        __tracebackhide__ = True
        result = self.handle.flush()
        self._keys += [key for key in result.sealed if key not in self._keys]
        assert not result.failed, f"a run could not be sealed: {result.failed}"
        assert not result.dropped, f"records were lost: {result.dropped}"
        store = open_store(self.handle.store)
        return [store.run(key) for key in self._keys]

    @property
    def run(self) -> SealedRun:
        """The run that was sealed last. Fails if there is none."""
        __tracebackhide__ = True
        runs = self.runs
        assert runs, "no run was recorded: was the agent called, is it in start_run() or decorated, has it ended?"
        return runs[-1]

    def calls(self, tool: str | None = None) -> list[CallEntry]:
        """Return the tool calls of all runs, or those of one tool, in the order in which they started in their run."""
        __tracebackhide__ = True
        return [call for run in self.runs for call in run.tool_calls() if tool in (None, call.tool)]

    def called(self, tool: str, *, times: int | None = None) -> list[CallEntry]:
        """Assert that a tool was called, `times` times if given, and return the calls.

        Calls that policy refused count: the agent tried. `blocked` asserts that they were refused.
        """
        __tracebackhide__ = True
        found = self.calls(tool)
        if times is not None and len(found) != times:
            self._fail(f"{tool} was called {_times(len(found))}, not {_times(times)}")
        if times is None and not found:
            self._fail(f"{tool} was not called")
        return found

    def not_called(self, tool: str) -> None:
        """Assert that a tool was not called, not even in vain."""
        __tracebackhide__ = True
        if found := self.calls(tool):
            self._fail(f"{tool} was called {_times(len(found))}")

    def blocked(self, tool: str, *, rule: str | None = None) -> CallEntry:
        """Assert that policy refused a call of a tool, by that rule if given, and return the first such call."""
        __tracebackhide__ = True
        for call in self.calls(tool):
            if call.policy.decision in _REFUSED and rule in (None, call.policy.rule):
                return call
        self._fail(f"no call of {tool} was blocked{f' by {rule}' if rule else ''}")
        raise AssertionError  # _fail has raised

    def arguments(self, tool: str, **expected: Any) -> Any:
        """Assert that a call of a tool had these arguments, among others, and return all that its contract keeps.

        Without `expected`, return those of the last call. Only what the contract keeps can be compared; the failure
        says which arguments were withheld.
        """
        __tracebackhide__ = True
        found = [call.arguments.view if call.arguments else None for call in self.called(tool)]
        for view in reversed(found):
            if not expected:
                return view
            said: Mapping[str, Any] = cast("dict[str, Any]", view) if isinstance(view, dict) else {}
            if all(name in said and said[name] == value for name, value in expected.items()):
                return said
        withheld = sorted({name for view in found for name in expected if _withheld(view, name)})
        why = f"; withheld, so that it cannot be compared: {', '.join(withheld)} (@tool(keep=...))" if withheld else ""
        self._fail(f"no call of {tool} had {_named(expected)}{why}")
        raise AssertionError  # _fail has raised

    def _fail(self, what: str) -> None:
        __tracebackhide__ = True
        calls = self.calls()
        lines = [f"  {call.tool}({_view(call)})  {_end(call)}" for call in calls[:_SHOWN]]
        more = [f"  … {len(calls) - _SHOWN} more"] if len(calls) > _SHOWN else []
        shown = ["Called were:", *lines, *more] if calls else [f"No tool was called, in {len(self._keys)} runs."]
        raise AssertionError("\n".join(printable(line) for line in (f"{what}.", *shown)))


def _times(count: int) -> str:
    return {0: "never", 1: "once"}.get(count, f"{count} times")


def _named(values: Mapping[str, Any]) -> str:
    return ", ".join(f"{name}={value!r}" for name, value in values.items())


def _view(call: CallEntry) -> str:
    view = call.arguments.view if call.arguments else None
    return (
        _named(cast("dict[str, Any]", view)) if isinstance(view, dict) else "withheld" if view is None else repr(view)
    )


def _end(call: CallEntry) -> str:
    rule = f" by {call.policy.rule}" if call.policy.rule and call.policy.decision in _REFUSED else ""
    error = f", {call.error.type}" if call.error else ""
    return f"{'ok' if call.status == 'unset' else call.status}{rule}{error}"


def _withheld(view: Any, name: str) -> bool:
    """Tell whether an argument was withheld: nothing is kept, its place has a marker, or its name was withheld too."""
    if not isinstance(view, dict):
        return True
    said = cast("dict[str, Any]", view)
    if name in said:
        return isinstance(said[name], str) and MARKER.match(said[name]) is not None
    return any(MARKER.match(key) for key in said)
