"""Agents of Pydantic AI: whole, streamed, with a retried tool, three at once, and one whose tool raises."""

import asyncio

from pydantic_ai import Agent, ModelRetry
from pydantic_ai.models.openai import OpenAIChatModel

from tests.interop.apps import shared
from tests.interop.apps.shared import CANARIES, ORDER_ID, PROMPT, SYSTEM


def emit_own() -> None:
    """Turn on the spans that the framework makes itself."""
    Agent.instrument_all()


def agent(name: str) -> Agent:
    """Return an agent with three tools."""
    made = Agent(OpenAIChatModel("clerk-1"), name=name, system_prompt=SYSTEM, retries=2)

    @made.tool_plain
    def lookup_order(order_id: str, email: str) -> dict[str, str]:
        """Look up an order."""
        if order_id != ORDER_ID:
            raise ModelRetry(f"there is no such order {CANARIES['retry']}")
        return shared.lookup_order(order_id, email)

    made.tool_plain(shared.weather)
    made.tool_plain(shared.explode)
    return made


def main() -> None:
    """Seven invocations."""
    concierge = agent("concierge")
    concierge.run_sync(PROMPT)
    asyncio.run(_others(concierge))
    try:
        agent("unlucky").run_sync(f"{PROMPT} FAIL")
    except ValueError as error:
        if str(error) != CANARIES["exception"]:
            raise


async def _others(concierge: Agent) -> None:
    async with concierge.run_stream(f"{PROMPT} streamed") as run:
        async for _ in run.stream_text():
            pass
    await agent("patient").run(f"{PROMPT} RETRY")
    await asyncio.gather(*(agent(f"clerk{number}").run(f"{PROMPT} {number}") for number in range(3)))
