"""What all applications share: their canaries, tools, contract and prompts."""

from typing import Any

CANARIES = {
    channel: f"quokka-{channel.replace(' ', '-')}-{4100 + number}"
    for number, channel in enumerate(
        (
            "prompt", "system prompt", "argument", "city", "result", "forecast", "exception", "output", "retry",
            "error body", "document", "query", "user",
        )
    )
}  # fmt: skip
"""A value that stands nowhere else, for each channel through which an application's content can pass."""

ORDER_ID = "A-1001"
EMAIL = f"{CANARIES['argument']}@example.com"
CITY = CANARIES["city"]
USER = CANARIES["user"]
PROMPT = f"Where is my order? {CANARIES['prompt']}"
SYSTEM = f"You are a clerk at a shop. {CANARIES['system prompt']}"
CONTRACT: dict[str, Any] = {
    "name": "lookup_order",
    "side_effects": "read",
    "data": {
        "rules": [
            {"selector": "/order_id", "action": "keep"},
            {"selector": "/email", "data_class": "personal"},
            {"selector": "/status", "target": "output", "action": "keep"},
        ]
    },
}
"""The contract of `lookup_order`; `weather` and `explode` have none."""


def lookup_order(order_id: str, email: str) -> dict[str, str]:
    """Look up an order by its id and the customer's address."""
    return {"status": "shipped", "order": order_id, "note": CANARIES["result"]}


def weather(city: str) -> str:
    """Say what the weather is in a city."""
    return f"sunny {CANARIES['forecast']}"


def explode(reason: str) -> str:
    """Fail for a reason."""
    raise ValueError(CANARIES["exception"])


TOOLS = {"lookup_order": lookup_order, "weather": weather}


def parameters(name: str) -> dict[str, Any]:
    """Return the JSON schema of a tool's arguments."""
    names = {"lookup_order": ("order_id", "email"), "weather": ("city",)}[name]
    return {"type": "object", "properties": {key: {"type": "string"} for key in names}, "required": list(names)}
