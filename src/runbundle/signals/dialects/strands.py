"""Strands Agents: the GenAI conventions, with cycles of its event loop, and results in the blocks of Bedrock.

Source: https://github.com/strands-agents/sdk-python/blob/main/src/strands/telemetry/tracer.py
"""

from typing import Any, cast

import orjson

from runbundle.signals import own, semconv
from runbundle.signals.dialects.forms.message_events import read_events
from runbundle.signals.dialects.forms.table import Dialect, Reading
from runbundle.signals.kinds import keys_of
from runbundle.signals.names import EXECUTE_TOOL, STEP
from runbundle.signals.reading import json_of

_BEGAN, _ENDED = "gen_ai.event.start_time", "gen_ai.event.end_time"
_ITSELF = "strands-agents"
_STEPS = {
    "execute_event_loop_cycle": "cycle",
    "invoke_swarm": "swarm",
    "invoke_graph": "graph",
    **{work: work for work in ("memory.search", "memory.add", "memory.inject", "memory.extract")},
}
"""Kinds of work that are steps, and what each is called."""


def _work(reading: Reading) -> str:
    work = reading.text(semconv.OPERATION)
    if work in _STEPS:
        reading.put(own.OP, STEP)
        reading.put(own.NAME, _STEPS[work])
    # Every span of it says whose it is where others name a model's provider; the scope says so, too.
    for key in (semconv.PROVIDER, "gen_ai.system"):
        if reading.attributes.get(key) == _ITSELF:
            reading.take(key)
    reading.take(_BEGAN)  # as the span's own times say
    reading.take(_ENDED)
    return work


def _finish(reading: Reading) -> None:
    if reading.op == EXECUTE_TOOL and reading.events:
        read_events(reading)
    result = _alone(reading.attributes.get(semconv.RESULT))
    if result is not None:
        reading.attributes[semconv.RESULT] = result


def _alone(value: Any) -> str | None:
    """Return what the only block of a result holds; None if there are several, or others than text and JSON."""
    blocks = json_of(value) if isinstance(value, str) and value.startswith("[{") else None
    if not isinstance(blocks, list) or len(cast("list[Any]", blocks)) != 1 or not isinstance(blocks[0], dict):
        return None
    block = cast("dict[str, Any]", blocks[0])
    if block.keys() == {"text"} and isinstance(block["text"], str):
        return block["text"]
    return orjson.dumps(block["json"]).decode() if block.keys() == {"json"} else None


STRANDS = Dialect(
    name="",
    signs=frozenset({_BEGAN}),
    kinds={
        **keys_of("id", "event_loop.cycle_id event_loop.parent_cycle_id memory.parent.trace_id memory.parent.span_id"),
        **keys_of("name", "strands.cancellation.type memory.store.name memory.extractor"),
        **keys_of(
            "number",
            "memory.store.count memory.max_search_results memory.result.count memory.store.failure_count",
            "memory.max_entries memory.injected memory.entry.count memory.inject.format_error memory.message.count",
            "memory.message.filtered_count",
        ),
        **keys_of("content", "memory.store.names"),
    },
    work=_work,
    finish=_finish,
)
