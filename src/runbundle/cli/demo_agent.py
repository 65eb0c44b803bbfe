"""The agent of `runbundle demo`: it answers one question offline, with three tools, of which one is refused."""

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
    """Return an order."""
    return {
        "status": "shipped",
        "items": [{"sku": "KB-104", "note": f"gift for {email}"}],
        "card": "4000 0000 0000 1234",
    }


@runbundle.tool
def weather(city: str) -> str:
    """Return the weather. This tool has no contract, so the bundle keeps only digests of its calls."""
    return f"rain in {city}"


@runbundle.tool
def refund(order_id: str, amount: float) -> None:
    """Give money back. The contract requires an approval, which nobody gives here, so this never runs."""


@runbundle.retriever(name="handbook")
def search_handbook(question: str) -> list[dict[str, Any]]:
    """Return passages of a handbook."""
    return [
        {"id": "returns-3", "title": "Returns", "score": 0.91, "content": "A parcel may be returned for 30 days."},
        {"id": "shipping-1", "title": "Shipping", "score": 0.64, "content": "Parcels take two to four days."},
    ]


@runbundle.model(name="demo-model-1", provider="demo")
def ask_model(messages: list[dict[str, str]]) -> str:
    """Return a fixed answer, as a model would, and record how many tokens it took."""
    runbundle.current_run().usage(input_tokens=sum(len(m["content"].split()) for m in messages), output_tokens=21)
    return "Your order has shipped. A refund needs a colleague's approval."


@runbundle.agent(name="support")
def answer(question: str) -> str:
    """Answer one question with the tools and the model."""
    passages = search_handbook(question)
    with runbundle.start_step("gather"):
        order = find_order(order_id="A-1001", email="mallory@example.com")
        sky = weather("Bremen")
    with suppress(PolicyBlocked):
        refund(order_id="A-1001", amount=49.9)
    context = f"{question} {order['status']} {sky} {passages[0]['content']}"
    return ask_model([{"role": "system", "content": "Be brief."}, {"role": "user", "content": context}])


def record(store: "ArtifactStore") -> "FlushResult":
    """Run the agent once, recorded into `store`, and wait until its bundle is sealed."""
    with runbundle.configure(store=store, contracts=CONTRACTS, otlp=False) as handle:
        with runbundle.start_run("demo", config=CONFIG, session_id="demo-session", user_id="mallory") as run:
            run.set_result({"answer": answer("Where is my parcel?")})
            run.score("helpfulness", 0.9, label="good")
        return handle.flush()
