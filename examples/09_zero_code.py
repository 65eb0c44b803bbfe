"""A LangGraph agent without a line of ours. Redacted, its spans also go to `console`, which stands for your exporter.

opentelemetry-instrument --traces_exporter runbundle,console --logs_exporter runbundle --metrics_exporter none \
    python examples/09_zero_code.py

Needs `pip install langchain langchain-openai opentelemetry-instrumentation-genai-langchain` besides runbundle. The
model's answers are in this file, so that it runs offline.
"""

import json

import httpx
from langchain.agents import create_agent
from langchain_openai import ChatOpenAI


def lookup_order(order_id: str) -> str:
    """Say where an order is."""
    return f"{order_id} is in Bremen"


def answer(request: httpx.Request) -> httpx.Response:
    """Play the model: call the tool, then say what came of it."""
    last = json.loads(request.content)["messages"][-1]
    call = {
        "id": "call-1",
        "type": "function",
        "function": {"name": "lookup_order", "arguments": '{"order_id": "A-1"}'},
    }
    said = {"content": f"Your parcel: {last['content']}"} if last["role"] == "tool" else {"tool_calls": [call]}
    choice = {"index": 0, "finish_reason": "stop", "message": {"role": "assistant", **said}}
    usage = {"prompt_tokens": 11, "completion_tokens": 7, "total_tokens": 18}
    body = {"id": f"answer-to-{last['role']}", "object": "chat.completion", "created": 0, "model": "clerk-1"}
    return httpx.Response(200, json={**body, "choices": [choice], "usage": usage})


if __name__ == "__main__":
    client = httpx.Client(transport=httpx.MockTransport(answer))
    model = ChatOpenAI(model="clerk-1", api_key="none", http_client=client)
    agent = create_agent(model, [lookup_order], name="concierge")
    print(agent.invoke({"messages": [("user", "Where is my parcel?")]})["messages"][-1].content)
    print("next: runbundle show @last")
