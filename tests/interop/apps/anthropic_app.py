"""The Anthropic SDK without a framework: a request with two model calls, and calls by themselves."""

import asyncio
import json
from typing import Any

from anthropic import Anthropic, AsyncAnthropic, BadRequestError
from opentelemetry import trace

from tests.interop.apps.shared import CANARIES, PROMPT, SYSTEM, TOOLS, parameters

_TOOLS: list[Any] = [
    {"name": name, "description": tool.__doc__, "input_schema": parameters(name)} for name, tool in TOOLS.items()
]
_MODEL: dict[str, Any] = {"model": "clerk-a", "max_tokens": 64}


def main() -> None:
    """One request; three calls that fail or not, two of them streamed; three calls at once."""
    client = Anthropic(max_retries=0)
    said: list[Any] = [{"role": "user", "content": PROMPT}]
    with trace.get_tracer("shop").start_as_current_span(
        "POST /chat", kind=trace.SpanKind.SERVER, attributes={"http.request.method": "POST", "http.route": "/chat"}
    ):
        messages = list(said)
        while True:
            answer = client.messages.create(**_MODEL, system=SYSTEM, messages=messages, tools=_TOOLS)
            messages.append({"role": "assistant", "content": [b.model_dump(exclude_none=True) for b in answer.content]})
            calls = [block for block in answer.content if block.type == "tool_use"]
            if not calls:
                break
            results = [
                {"type": "tool_result", "tool_use_id": call.id, "content": json.dumps(TOOLS[call.name](**call.input))}
                for call in calls
            ]
            messages.append({"role": "user", "content": results})
    with client.messages.stream(**_MODEL, messages=said, tools=_TOOLS) as stream:
        for _ in stream:
            pass
    plain: list[Any] = [{"role": "user", "content": f"{PROMPT} PLAIN"}]
    for _ in client.messages.create(**_MODEL, messages=plain, stream=True):
        pass
    asyncio.run(_at_once())
    try:
        client.messages.create(**_MODEL, messages=[{"role": "user", "content": "REFUSED"}])
    except BadRequestError as error:
        if CANARIES["error body"] not in str(error):
            raise


async def _at_once() -> None:
    client = AsyncAnthropic(max_retries=0)
    await asyncio.gather(
        *(
            client.messages.create(**_MODEL, messages=[{"role": "user", "content": f"{PROMPT} PLAIN {number}"}])
            for number in range(3)
        )
    )
