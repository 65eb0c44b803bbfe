"""Agents of Strands: whole, streamed, three at once, and one whose tool raises."""

import asyncio
import os

from strands import Agent, tool
from strands.models.openai import OpenAIModel

from tests.interop.apps import shared
from tests.interop.apps.shared import PROMPT, SYSTEM, USER


@tool
def lookup_order(order_id: str, email: str) -> dict[str, str]:
    """Look up an order."""
    return shared.lookup_order(order_id, email)


@tool
def weather(city: str) -> str:
    """Say what the weather is."""
    return shared.weather(city)


@tool
def explode(reason: str) -> str:
    """Fail."""
    return shared.explode(reason)


def agent(name: str) -> Agent:
    """Return an agent with three tools."""
    arguments = {"api_key": "stub", "base_url": os.environ["OPENAI_BASE_URL"], "max_retries": 0}
    return Agent(
        OpenAIModel(client_args=arguments, model_id="clerk-1"),
        name=name,
        system_prompt=SYSTEM,
        tools=[lookup_order, weather, explode],
        callback_handler=None,
        trace_attributes={"session.id": "chat-17", "user.id": USER},
    )


def main() -> None:
    """Six invocations."""
    agent("concierge")(PROMPT)
    asyncio.run(_others())
    agent("unlucky")(f"{PROMPT} FAIL")  # the framework tells the model that the tool has failed


async def _others() -> None:
    async for _ in agent("streamer").stream_async(PROMPT):
        pass
    await asyncio.gather(*(agent(f"clerk{number}").invoke_async(f"{PROMPT} {number}") for number in range(3)))
