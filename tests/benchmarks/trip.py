"""Count the modules that an ordinary tool span enters, from its end to its line: `python -m tests.benchmarks.trip`.

Who wants to know what becomes of a span must read these. The way has two parts, in whichever threads they happen:

- at its end: all that is called from the processor's `on_end` until that returns, which is redaction and journal;
- at the seal: from the moment the span is read back until its line of events.jsonl is made. There a function is on the
  way if it is given the span (its record, entry or line, or its id), if it gives it back, or if one that is given it
  has called it. What the seal works out for the run alone is not; what it makes of the span for other files, in the
  same pass, is.

A module counts once a function of it was entered; one that only holds constants or types never is. The run is the
second of its process, so that nothing is on the way for being used first: imports, compiled contracts, empty caches.
"""

import sys
import tempfile
import threading
from pathlib import Path
from types import FrameType
from typing import Any

from opentelemetry import trace

import runbundle

WANTED = 20
"""What is aimed at."""
OURS = str(Path(runbundle.__file__).parent)
CONTRACT: dict[str, Any] = {
    "name": "search",
    "side_effects": "read",
    "data": {
        "rules": [
            {"selector": "/query", "action": "keep"},
            {"selector": "/email", "data_class": "personal"},
            {"selector": "/hits", "target": "output", "action": "keep"},
        ]
    },
}


class Trip:
    """A profile function for all threads that follows one span, named by `follow` before it ends."""

    def __init__(self) -> None:
        self.at_end: list[str] = []
        """Modules in the order of their first entry, while the span ends."""
        self.at_seal: list[str] = []
        """Likewise at the seal."""
        self.line = b""
        """What it ends with: the span's line of events.jsonl."""
        self._span_id = ""
        self._ending: FrameType | None = None
        self._thread = 0
        self._ended = False
        self._given: set[FrameType] = set()

    @property
    def modules(self) -> list[str]:
        """All of them, each once."""
        return list(dict.fromkeys(self.at_end + self.at_seal))

    def follow(self, span_id: str) -> None:
        """Say whose way it is."""
        self._span_id = span_id

    def __call__(self, frame: FrameType, event: str, arg: object) -> None:
        """Take note of an entry into a function, and of what it returns or yields."""
        if not self._span_id or self.line or event not in ("call", "return"):
            return
        if not frame.f_code.co_filename.startswith(OURS):
            return
        if self._ended:
            self._at_seal(frame, event, arg)
        else:
            self._at_end(frame, event)

    def _at_end(self, frame: FrameType, event: str) -> None:
        if event == "return":
            self._ended |= frame is self._ending
            return
        if self._ending is None and frame.f_code.co_name == "on_end" and self._is_given(frame):
            self._ending, self._thread = frame, threading.get_ident()
        if self._ending is not None and self._thread == threading.get_ident():
            _note(self.at_end, frame)

    def _at_seal(self, frame: FrameType, event: str, arg: object) -> None:
        if event == "call":
            if frame.f_back in self._given or self._is_given(frame):
                self._given.add(frame)
                _note(self.at_seal, frame)
            return
        self._given.discard(frame)
        if self._is_of_it(arg):
            _note(self.at_seal, frame)
            if isinstance(arg, bytes) and b'"span.ended"' in arg and b'"seq":' in arg:
                self.line = arg

    def _is_given(self, frame: FrameType) -> bool:
        code = frame.f_code
        names = code.co_varnames[: code.co_argcount + code.co_kwonlyargcount]
        return any(self._is_of_it(frame.f_locals.get(name)) for name in names)

    def _is_of_it(self, value: Any, deep: int = 3) -> bool:
        """Tell whether a value is the span, its record, entry or line, or its id; or a sequence with one of them."""
        if isinstance(value, str):
            return value == self._span_id
        if isinstance(value, bytes):
            return self._span_id.encode() in value
        if isinstance(value, dict):
            return value.get("span_id") == self._span_id
        if isinstance(value, tuple | list):
            return deep > 0 and any(self._is_of_it(part, deep - 1) for part in value[:8])
        if isinstance(value, trace.Span):
            return f"{value.get_span_context().span_id:016x}" == self._span_id
        context = getattr(value, "context", None)  # an ended span of the SDK
        return isinstance(context, trace.SpanContext) and f"{context.span_id:016x}" == self._span_id


def _note(modules: list[str], frame: FrameType) -> None:
    name = frame.f_globals["__name__"]
    if name not in modules:
        modules.append(name)


def one_run(trip: Trip | None = None) -> None:
    """Do one run of one call of a tool, and have its span followed."""
    call = runbundle.start_tool("search", {"query": "q", "email": "a@example.org"})
    with runbundle.start_run("trip"), call:
        call.set_output({"hits": ["one", "two"]})
        if trip is not None:
            trip.follow(f"{trace.get_current_span().get_span_context().span_id:016x}")


def tool_span() -> Trip:
    """Follow the span of a tool call that a contract covers, in the second run of a process."""
    trip = Trip()
    with tempfile.TemporaryDirectory() as folder:
        before = sys.getprofile()
        threading.setprofile(trip)
        sys.setprofile(trip)
        try:
            with runbundle.configure(store=folder, contracts=[CONTRACT], key=b"a key for this only") as handle:
                one_run()
                handle.flush()
                one_run(trip)
                handle.flush()
        finally:
            sys.setprofile(before)
            threading.setprofile(None)  # type: ignore[arg-type]
    return trip


def main() -> None:
    """Print the modules in the order of their first entry, and how many there are."""
    trip = tool_span()
    for title, modules, before in (("at its end", trip.at_end, []), ("at the seal", trip.at_seal, trip.at_end)):
        print(f"{title}: {len(modules)}")
        for name in modules:
            print(f"  {name}{'  (again)' if name in before else ''}")
    count = len(trip.modules)
    print(f"{count} modules; {WANTED} are wanted, {count - WANTED} fewer")


if __name__ == "__main__":
    main()
