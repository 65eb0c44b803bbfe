"""Plants canaries through our own decorators and handles, on whatever spans those go to."""

import contextlib
from collections.abc import Generator, Iterator
from typing import Any

from pydantic import SecretStr

from runbundle.otel.agent.decorators import agent, model, retriever
from runbundle.otel.agent.starts import start_run, start_tool
from runbundle.otel.inspection.canaries import canary


def plant_own() -> None:
    """Run a small agent in which every value is a canary."""

    @model(name="m")
    def chat(messages: Any) -> Any:  # noqa: ARG001 - recorded by its decorator, as the others are
        return canary("own answer")

    @model(name="m")
    def streamed(messages: Any) -> Iterator[str]:  # noqa: ARG001
        yield canary("own streamed answer")

    @agent(name="a")
    def helper(question: str) -> str:  # noqa: ARG001
        return canary("own output")

    @retriever(name="docs")
    def find(query: str) -> list[dict[str, Any]]:  # noqa: ARG001
        return [{"id": "d", "content": canary("own document")}]

    with start_run(
        "leak-check", config={"api_key": canary("own configuration")}, user_id=canary("own user id")
    ) as run:  # fmt: skip
        arguments = {"to": canary("own argument"), "key": SecretStr(canary("own secret argument"))}
        with contextlib.suppress(ValueError), start_tool("probe", arguments):
            raise ValueError(canary("own error"), canary("own stack trace"))
        with _tool() as scope:
            scope.set_output({"r": canary("own result")})
        chat([{"role": "user", "content": canary("own prompt")}])
        list(streamed("x"))
        helper(canary("own input"))
        find(canary("own query"))
        run.event("probe", note=canary("own event"))
        run.score("probe", 1.0)
        run.policy_decision("blocked", reason=canary("own reason"))
        run.set_result({"answer": canary("own result of the run")})


@contextlib.contextmanager
def _tool() -> Generator[Any]:
    scope = start_tool("probe").start()
    with scope.attached():
        yield scope
    scope.finish()
