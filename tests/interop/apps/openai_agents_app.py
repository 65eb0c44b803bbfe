"""Agents of the OpenAI Agents SDK: whole, streamed, with a handoff, three at once, and one whose tool raises."""

import asyncio
import os
from collections.abc import Sequence

from agents import Agent, OpenAIChatCompletionsModel, OpenAIResponsesModel, Runner, function_tool
from openai import AsyncOpenAI

from tests.interop.apps import shared
from tests.interop.apps.shared import CANARIES, PROMPT, SYSTEM

_KEY = os.environ.pop("OPENAI_API_KEY", "")  # without it the SDK sends no traces to its maker
lookup_order = function_tool(shared.lookup_order)
weather = function_tool(shared.weather)
explode = function_tool(shared.explode, failure_error_function=None)


def agent(name: str, *, responses: bool = False, handoffs: Sequence[Agent] = ()) -> Agent:
    """Return an agent with three tools, over one of the two interfaces of its model."""
    client = AsyncOpenAI(api_key=_KEY, max_retries=0)
    model = OpenAIResponsesModel("clerk-1", client) if responses else OpenAIChatCompletionsModel("clerk-1", client)
    tools = [lookup_order, weather, explode]
    return Agent(name=name, instructions=SYSTEM, model=model, tools=[*tools], handoffs=[*handoffs])


def main() -> None:
    """Seven invocations."""
    Runner.run_sync(agent("concierge"), PROMPT)
    asyncio.run(_others())


async def _others() -> None:
    streamed = Runner.run_streamed(agent("streamer", responses=True), PROMPT)
    async for _ in streamed.stream_events():
        pass
    await Runner.run(agent("triage", handoffs=[agent("billing")]), f"{PROMPT} HANDOFF")
    await asyncio.gather(*(Runner.run(agent(f"clerk{number}"), f"{PROMPT} {number}") for number in range(3)))
    try:
        await Runner.run(agent("unlucky"), f"{PROMPT} FAIL")
    except Exception as error:
        if CANARIES["exception"] not in f"{error} {error.__cause__}":
            raise
