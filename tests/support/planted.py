"""Runs of one small agent that differ in what is planted: for comparisons, whose cause is known."""

from dataclasses import dataclass
from typing import Any

import runbundle


@dataclass(frozen=True)
class Planted:
    """What a run has that differs from the baseline's."""

    prompt: str = "Be kind."
    question: str = "Where is my order?"
    order: str = "A-1001"
    answer: str = "shipped"
    documents: tuple[str, ...] = ("returns-3", "shipping-1")
    model: str = "m-1"
    temperature: float = 0
    result: str = "done"
    fails: bool = False
    more: tuple[int, ...] = ()
    """Steps at which one tool more is called."""
    without: tuple[int, ...] = ()
    """Steps at which the order is not looked up."""
    steps: int = 4
    order_of: tuple[int, ...] = ()
    """In which order some of the steps look up; all in turn if none is given."""
    branches: tuple[str, ...] = ()
    """Cities that are asked for side by side, in this order."""


def run(run_id: str, planted: Planted) -> None:
    """Record a run: a retrieval, then steps of a model call and a tool call each."""
    config = {"temperature": planted.temperature, "retriever": {"top_k": 2}}
    with runbundle.start_run("support", run_id=run_id, config=config) as handle:
        with runbundle.start_retriever("handbook", "returns") as found:
            found.add_evidence([{"id": one, "content": f"text of {one}", "score": 0.5} for one in planted.documents])
        said: list[dict[str, Any]] = [
            {"role": "system", "content": planted.prompt},
            {"role": "user", "content": planted.question},
        ]
        for step in planted.order_of or range(planted.steps):
            said = _step(step, planted, said)
        if planted.branches:
            _branches(planted.branches)
        handle.set_result(planted.result)


def _step(step: int, planted: Planted, said: list[dict[str, Any]]) -> list[dict[str, Any]]:
    order = planted.order if step == 2 else "A-1000"
    call = [] if step in planted.without else [{"role": "assistant", "content": f"look up {order} for {step}"}]
    scope = runbundle.start_model(planted.model, said)
    with scope:
        scope.set_output(call or [{"role": "assistant", "content": "nothing to look up"}])
    if step in planted.more:
        weather = runbundle.start_tool("weather", {"city": "Oslo", "day": step})
        with weather:
            weather.set_output({"sky": "clear"})
    if step in planted.without:
        return said
    tool = runbundle.start_tool("find_order", {"order_id": order, "step": step})
    answer = planted.answer if step == 1 else "open"
    try:
        with tool:
            if planted.fails and step == 3:
                raise TimeoutError("the warehouse does not answer")
            tool.set_output({"status": answer})
    except TimeoutError:
        answer = "failed"
    return [*said, *call, {"role": "tool", "content": answer}]


def _branches(cities: tuple[str, ...]) -> None:
    """Call a tool for each city at the same time: all have begun before any ends."""
    scopes = [runbundle.start_tool("weather", {"city": city}) for city in cities]
    for scope in scopes:
        scope.start()
    for scope, city in zip(scopes, cities, strict=True):
        scope.set_output({"sky": f"clear over {city}"})
        scope.finish()
