"""Agents of the OpenAI Agents SDK, instrumented by OpenInference: a tool, and a handoff from one agent to another.

Needs `pip install openai-agents openinference-instrumentation-openai-agents`; the model's answers are in this file, so
that it runs offline.
"""

import json
from typing import Any

import httpx
from agents import Agent, OpenAIChatCompletionsModel, Runner, function_tool
from openai import AsyncOpenAI
from openinference.instrumentation.openai_agents import OpenAIAgentsInstrumentor

import runbundle


def answer(request: httpx.Request) -> httpx.Response:
    """Play the model: hand over to billing, look the order up, say what came of it."""
    asked = json.loads(request.content)
    tools = [tool["function"]["name"] for tool in asked["tools"]]
    message: dict[str, Any] = {"role": "assistant", "content": "It was paid on Monday."}
    if asked["messages"][-1]["role"] != "tool" or tools == ["lookup_order"] and not called(asked, "lookup_order"):
        function = {"name": tools[0], "arguments": '{"order_id": "A-1001"}' if tools == ["lookup_order"] else "{}"}
        message = {"role": "assistant", "tool_calls": [{"id": f"call-{tools[0]}", "type": "function", "function": function}]}
    return httpx.Response(200, json={
        "id": f"answer-{len(asked['messages'])}", "object": "chat.completion", "created": 0, "model": "clerk-1",
        "choices": [{"index": 0, "message": message, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": 11, "completion_tokens": 7, "total_tokens": 18},
    })
