"""The OpenAI SDK without a framework: a request with two model calls and an embedding, and calls by themselves."""

import asyncio
import json
from typing import Any

from openai import AsyncOpenAI, BadRequestError, OpenAI
from opentelemetry import trace

from tests.interop.apps.shared import CANARIES, PROMPT, SYSTEM, TOOLS, USER, parameters

_TOOLS: list[Any] = [
    {"type": "function", "function": {"name": name, "description": tool.__doc__, "parameters": parameters(name)}}
    for name, tool in TOOLS.items()
]


def main() -> None:
    """One request; five calls that fail or not, whole or streamed; three calls at once."""
    client = OpenAI(max_retries=0)
    with trace.get_tracer("shop").start_as_current_span(
        "POST /chat", kind=trace.SpanKind.SERVER, attributes={"http.request.method": "POST", "http.route": "/chat"}
    ):
        messages: list[Any] = [{"role": "system", "content": SYSTEM}, {"role": "user", "content": PROMPT}]
        while True:
            answer = client.chat.completions.create(model="clerk-1", messages=messages, tools=_TOOLS, user=USER)
            message = answer.choices[0].message
            messages.append(message.model_dump(exclude_none=True))
            if not message.tool_calls:
                break
            for call in message.tool_calls:
                result = TOOLS[call.function.name](**json.loads(call.function.arguments))
                messages.append({"role": "tool", "tool_call_id": call.id, "content": json.dumps(result)})
        client.embeddings.create(model="clerk-embedding-1", input=CANARIES["document"])
    said: list[Any] = [{"role": "user", "content": PROMPT}]
    for _ in client.chat.completions.create(
        model="clerk-1", messages=said, tools=_TOOLS, stream=True, stream_options={"include_usage": True}
    ):
        pass
    tools: list[Any] = [{"type": "function", "name": "weather", "parameters": parameters("weather"), "strict": False}]
    client.responses.create(model="clerk-1", input=PROMPT, instructions=SYSTEM, tools=tools)
    for _ in client.responses.create(model="clerk-1", input=f"{PROMPT} PLAIN", stream=True):
        pass
    asyncio.run(_at_once())
    try:
        client.chat.completions.create(model="clerk-1", messages=[{"role": "user", "content": "REFUSED"}])
    except BadRequestError as error:
        if CANARIES["error body"] not in str(error):
            raise


async def _at_once() -> None:
    client = AsyncOpenAI(max_retries=0)
    await asyncio.gather(
        *(
            client.chat.completions.create(
                model="clerk-1", messages=[{"role": "user", "content": f"{PROMPT} PLAIN {number}"}]
            )
            for number in range(3)
        )
    )
