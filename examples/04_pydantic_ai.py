"""A real Pydantic AI agent with its own OpenTelemetry instrumentation, unmodified. All we add is `configure()`.

Needs `pip install pydantic-ai-slim`; runs on its test model, offline.
"""

from pydantic_ai import Agent
from pydantic_ai.models.test import TestModel

import runbundle

agent = Agent(TestModel(), name="concierge", system_prompt="Help the guest.")


@agent.tool_plain
def weather(city: str) -> str:
    """Say what the weather is."""
    return f"sunny in {city}"


@agent.tool_plain
def free_rooms(night: str) -> dict[str, int]:
    """Count free rooms."""
    return {"free": 3}


if __name__ == "__main__":
    contracts = [{"name": "weather", "data": {"rules": [{"selector": "/city", "action": "keep"}]}}]
    with runbundle.configure(contracts=contracts) as handle:
        Agent.instrument_all()
        print(agent.run_sync("Will it rain?").output)
        print(f"sealed: {handle.flush().sealed[-1]}")
    print("next: runbundle show @last")
