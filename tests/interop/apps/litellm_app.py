"""LiteLLM with its OpenTelemetry callback: model calls by themselves, whole, streamed, at once, and one that fails."""

import asyncio
import json
import os
import time
from typing import Any

import litellm

from tests.interop.apps.shared import CANARIES, PROMPT, SYSTEM, TOOLS, USER, parameters

_TOOLS = [
    {"type": "function", "function": {"name": name, "description": tool.__doc__, "parameters": parameters(name)}}
    for name, tool in TOOLS.items()
]
_MODEL: dict[str, Any] = {"model": "openai/clerk-1", "num_retries": 0}


def emit_own() -> None:
    """Turn on the spans that the library makes itself."""
    litellm.callbacks = ["otel"]


def main() -> None:
    """Seven model calls."""
    _MODEL["api_base"] = os.environ["OPENAI_BASE_URL"]
    messages: list[Any] = [{"role": "system", "content": SYSTEM}, {"role": "user", "content": PROMPT}]
    answer: Any = litellm.completion(messages=messages, tools=_TOOLS, user=USER, **_MODEL)
    message = answer.choices[0].message
    messages.append(message.model_dump(exclude_none=True))
    for call in message.tool_calls:
        result = TOOLS[call.function.name](**json.loads(call.function.arguments))
        messages.append({"role": "tool", "tool_call_id": call.id, "content": json.dumps(result)})
    litellm.completion(messages=messages, tools=_TOOLS, **_MODEL)
    streamed: Any = litellm.completion(messages=_asked("PLAIN"), stream=True, **_MODEL)
    for _ in streamed:
        pass
    asyncio.run(_at_once())
    try:
        litellm.completion(messages=_asked("REFUSED"), **_MODEL)
    except litellm.BadRequestError as error:
        if CANARIES["error body"] not in str(error):
            raise
    time.sleep(1)  # its callbacks run in threads, and nothing waits for them


def _asked(text: str) -> list[Any]:
    return [{"role": "user", "content": f"{PROMPT} {text}"}]


async def _at_once() -> None:
    await asyncio.gather(*(litellm.acompletion(messages=_asked(f"PLAIN {number}"), **_MODEL) for number in range(3)))
    await asyncio.sleep(1)
