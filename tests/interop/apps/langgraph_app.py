"""Agents and a graph of LangGraph: whole, streamed, three at once, one with a retriever, one whose tool raises."""

import asyncio
from typing import Any, TypedDict

from langchain.agents import create_agent
from langchain_core.documents import Document
from langchain_core.retrievers import BaseRetriever
from langchain_core.tools import tool
from langchain_openai import ChatOpenAI
from langgraph.graph import END, START, StateGraph

from tests.interop.apps import shared
from tests.interop.apps.shared import CANARIES, PROMPT, SYSTEM, USER

_TOOLS = [tool(shared.lookup_order), tool(shared.weather), tool(shared.explode)]


class Handbook(BaseRetriever):
    """Finds the same two documents, whatever is asked."""

    def _get_relevant_documents(self, query: str, *, run_manager: Any) -> list[Document]:
        return [
            Document(page_content=f"one {CANARIES['document']}", metadata={"source": "handbook/1.md"}, id="doc-1"),
            Document(page_content=f"two {CANARIES['document']}", metadata={"source": "handbook/2.md"}, id="doc-2"),
        ]


class _State(TypedDict, total=False):
    question: str
    found: str
    answer: str


def agent(name: str) -> Any:
    """Return an agent with three tools."""
    return create_agent(ChatOpenAI(model="clerk-1", max_retries=0), _TOOLS, system_prompt=SYSTEM, name=name)


def librarian() -> Any:
    """Return a graph of two nodes: one retrieves, one answers."""
    handbook, model = Handbook(), ChatOpenAI(model="clerk-1", max_retries=0)

    def retrieve(state: _State) -> _State:
        return {"found": " ".join(document.page_content for document in handbook.invoke(state["question"]))}

    def answer(state: _State) -> _State:
        return {"answer": str(model.invoke([("system", SYSTEM), ("user", state["found"])]).content)}

    graph = StateGraph(_State)
    graph.add_node("retrieve", retrieve)
    graph.add_node("answer", answer)
    graph.add_edge(START, "retrieve")
    graph.add_edge("retrieve", "answer")
    graph.add_edge("answer", END)
    return graph.compile(name="librarian")


def main() -> None:
    """Seven invocations."""
    config: Any = {"configurable": {"thread_id": "chat-17"}, "metadata": {"user_id": USER}}
    agent("concierge").invoke(_asked(PROMPT), config)
    for _ in agent("streamer").stream(_asked(PROMPT), stream_mode="messages"):
        pass
    asyncio.run(_at_once())
    librarian().invoke({"question": CANARIES["query"]})
    try:
        agent("unlucky").invoke(_asked(f"{PROMPT} FAIL"))
    except ValueError as error:
        if str(error) != CANARIES["exception"]:
            raise


def _asked(text: str) -> Any:
    return {"messages": [("user", text)]}


async def _at_once() -> None:
    await asyncio.gather(*(agent(f"clerk{number}").ainvoke(_asked(f"{PROMPT} {number}")) for number in range(3)))
