"""A support agent that answers one question, offline: two tools with contracts, one without, one that is refused."""

from contextlib import suppress
from typing import TYPE_CHECKING, Any

import runbundle
from runbundle.errors import PolicyBlocked

if TYPE_CHECKING:
    from runbundle.recording.results import FlushResult
    from runbundle.store import ArtifactStore

CONTRACTS: list[dict[str, Any]] = [
    {
        "name": "find_order",
        "version": "2",
        "side_effects": "read",
        "input_schema": {"properties": {"order_id": {"type": "string"}, "email": {"type": "string"}}},
        "data": {
            "rules": [
                {"selector": "/order_id", "action": "keep"},
                {"selector": "/email", "data_class": "personal"},
                {"selector": "/status", "target": "output", "action": "keep"},
                {"selector": "/items/*/sku", "target": "output", "action": "keep"},
                {"selector": "/card", "target": "output", "data_class": "financial", "keep_last": 4},
            ]
        },
    },
    {
        "name": "refund",
        "side_effects": "destructive",
        "input_schema": {"properties": {"order_id": {"type": "string"}, "amount": {"type": "number"}}},
        "data": {"rules": [{"selector": "/order_id", "action": "keep"}, {"selector": "/amount", "action": "keep"}]},
    },
]
CONFIG = {
    "model": "demo-model-1",
    "temperature": 0,
    "api_key": "not-a-key-but-named-like-one",
    "retriever": {"index": "handbook", "top_k": 2},
}


@runbundle.tool
def find_order(order_id: str, email: str) -> dict[str, Any]:
    """Look an order up."""
    return {
        "status": "shipped",
        "items": [{"sku": "KB-104", "note": f"gift for {email}"}],
        "card": "4000 0000 0000 1234",
    }


@runbundle.tool
def weather(city: str) -> str:
    """Say what the weather is; nobody wrote a contract for this one."""
    return f"rain in {city}"


@runbundle.tool
def refund(order_id: str, amount: float) -> None:
    """Give money back, once a person has approved it. Here nobody has, so this never runs."""


@runbundle.retriever(name="handbook")
def search_handbook(question: str) -> list[dict[str, Any]]:
    """Find what the handbook says."""
    return [
        {"id": "returns-3", "title": "Returns", "score": 0.91, "content": "A parcel may be returned for 30 days."},
        {"id": "shipping-1", "title": "Shipping", "score": 0.64, "content": "Parcels take two to four days."},
    ]


@runbundle.model(name="demo-model-1", provider="demo")
def ask_model(messages: list[dict[str, str]]) -> str:
    """Pretend to be a model."""
    runbundle.current_run().usage(input_tokens=sum(len(m["content"].split()) for m in messages), output_tokens=21)
    return "Your order has shipped. A refund needs a colleague's approval."


@runbundle.agent(name="support")
def answer(question: str) -> str:
    """Answer one question."""
    passages = search_handbook(question)
    with runbundle.start_step("gather"):
        order = find_order(order_id="A-1001", email="mallory@example.com")
        sky = weather("Bremen")
    with suppress(PolicyBlocked):
        refund(order_id="A-1001", amount=49.9)
    context = f"{question} {order['status']} {sky} {passages[0]['content']}"
    return ask_model([{"role": "system", "content": "Be brief."}, {"role": "user", "content": context}])


def record(store: "ArtifactStore") -> "FlushResult":
    """Run the agent once and wait for its bundle."""
    with runbundle.configure(store=store, contracts=CONTRACTS) as handle:
        with runbundle.start_run("demo", config=CONFIG, session_id="demo-session", user_id="mallory") as run:
            run.set_result({"answer": answer("Where is my parcel?")})
            run.score("helpfulness", 0.9, label="good")
        return handle.flush()
