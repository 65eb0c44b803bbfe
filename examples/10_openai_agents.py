"""Two agents of the OpenAI Agents SDK, instrumented by OpenInference: a handoff from one to the other, and a tool.

Needs `pip install openai-agents httpx openinference-instrumentation-openai-agents`. The model's answers are in this
file, so that it runs offline.
"""

import json

import httpx
from agents import Agent, OpenAIChatCompletionsModel, Runner, function_tool
from openai import AsyncOpenAI
from openinference.instrumentation.openai_agents import OpenAIAgentsInstrumentor

import runbundle


@function_tool
def lookup_order(order_id: str, email: str) -> str:
    """Say what became of an order."""
    return "paid on Monday"


def answer(request: httpx.Request) -> httpx.Response:
    """Play the model: call the only tool, which hands over or looks up, unless that was done; then answer."""
    asked = json.loads(request.content)
    [tool] = asked["tools"]
    name = tool["function"]["name"]
    if any(call["function"]["name"] == name for said in asked["messages"] for call in said.get("tool_calls") or ()):
        said = {"content": "It was paid on Monday."}
    else:
        arguments = {"order_id": "A-1001", "email": "ada@example.com"} if name == "lookup_order" else {}
        function = {"name": name, "arguments": json.dumps(arguments)}
        said = {"tool_calls": [{"id": f"call-{name}", "type": "function", "function": function}]}
    choice = {"index": 0, "finish_reason": "stop", "message": {"role": "assistant", **said}}
    usage = {"prompt_tokens": 11, "completion_tokens": 7, "total_tokens": 18}
    body = {"id": f"answer-{len(asked['messages'])}", "object": "chat.completion", "created": 0, "model": "clerk-1"}
    return httpx.Response(200, json={**body, "choices": [choice], "usage": usage})


client = AsyncOpenAI(api_key="none", http_client=httpx.AsyncClient(transport=httpx.MockTransport(answer)))
model = OpenAIChatCompletionsModel("clerk-1", client)
billing = Agent("billing", instructions="Look orders up.", model=model, tools=[lookup_order])
triage = Agent("triage", instructions="Hand over to billing.", model=model, handoffs=[billing])

if __name__ == "__main__":
    contracts = [{"name": "lookup_order", "data": {"rules": [{"selector": "/order_id", "action": "keep"}]}}]
    with runbundle.configure(contracts=contracts) as handle:
        OpenAIAgentsInstrumentor().instrument(tracer_provider=handle.tracer_provider)
        print(Runner.run_sync(triage, "Was order A-1001 paid?").final_output)
        print(f"sealed: {handle.flush().sealed[-1]}")
    print("next: runbundle tools @last")
