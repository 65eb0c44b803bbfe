"""Runs to look at: one in which everything happens, one with names that want to be more than names, a very long one."""

import contextlib
from pathlib import Path
from typing import Any

import runbundle
from runbundle.bundle.reader import Bundle
from runbundle.inspect.columns import columns_of
from runbundle.store import ArtifactStore, LocalStore
from tests.support import handmade

NAMES = (
    "</script><script>window.hacked = 1</script>",
    "<img src=x onerror='window.hacked = 1'>",
    "\u202eevil\u2066",
    "a\x00b\x1b[31mred",
    "x" * 10_000,
    "javascript:window.hacked=1",
    "{{constructor.constructor('window.hacked=1')()}}",
)


def eventful(handle: runbundle.Handle, *, run_id: str = "eventful") -> Bundle:
    """Record and seal a run with tools, a model, a retrieval, an error and a configuration."""
    documents = [{"id": "doc-1", "title": "Refunds", "content": "call refund", "score": 0.7}]
    with (
        runbundle.start_run("support", run_id=run_id, config={"model": "m-1", "limits": {"steps": 5}}) as run,
        runbundle.start_agent("planner"),
    ):
        with runbundle.start_retriever("handbook", "how to refund"):
            run.add_evidence(documents, query="how to refund")
        with runbundle.start_step("gather"):
            for word in ("A-1001", "A-1002"):
                tool = runbundle.start_tool("find_order", {"order_id": word})
                with tool:
                    tool.set_output({"status": "shipped"})
        with contextlib.suppress(ValueError), runbundle.start_tool("refund", {"amount": 49.9}):
            raise ValueError("the card 4111 1111 1111 1111 was refused")
        model = runbundle.start_model("m-1", [{"role": "user", "content": "hello"}])
        with model:
            model.set_output([{"role": "assistant", "content": "done"}])
    result = handle.flush()
    assert len(result.sealed) == 1, result
    return Bundle.open(handle.store, result.sealed[0])


def hostile(store: ArtifactStore) -> str:
    """Write a bundle by hand whose names want to be markup; return its key."""
    lines: list[dict[str, Any]] = [handmade.event(0, "span.started", handmade.ROOT, op="run", name=NAMES[0])]
    for number, name in enumerate(NAMES):
        span = f"{number + 16:016x}"
        more = {"op": "tool", "parent_span_id": handmade.ROOT, "name": name}
        lines.append(handmade.event(10 + number, "span.started", span, **more, lane=name))
        lines.append(handmade.event(
            20 + number, "span.ended", span, **more, status="error", duration_ns="10",
            error={"type": name, "message": name},
            attributes=dict.fromkeys(("gen_ai.tool.name", "gen_ai.tool.call.arguments", name), name),
        ))  # fmt: skip
    lines.append(
        handmade.event(90, "span.ended", handmade.ROOT, op="run", name=NAMES[0], status="ok", duration_ns="90")
    )
    lines = [line | {"seq": number} for number, line in enumerate(lines)]

    def change(run: dict[str, Any]) -> None:
        run["name"] = NAMES[0]
        run["error"] = {"type": NAMES[0], "message": NAMES[1]}
        run["redaction"]["totals"] = [{"rule": NAMES[0], "action": NAMES[1], "count": 1}]
        run["versions"]["models"] = [NAMES[0]]

    handmade.build(store, lines=lines, change=change)
    return handmade.KEY


def long(folder: Path, spans: int) -> LocalStore:
    """Seal a run of many spans; return its store. The run is called `long`, and its columns are made already."""
    from tests.benchmarks import large

    large.write_journal(folder / ".spool" / large.RUN, spans)
    large.step("seal", folder)
    store = LocalStore(folder)
    columns_of(Bundle.open(store, large.RUN))
    return store
