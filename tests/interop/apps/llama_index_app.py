"""Agents and a query of LlamaIndex: whole, streamed, three at once, and one over an index of two documents."""

import asyncio
import os
from typing import Any

from llama_index.core import Document, Settings, VectorStoreIndex
from llama_index.core.agent.workflow import FunctionAgent
from llama_index.core.embeddings import MockEmbedding
from llama_index.llms.openai import OpenAI

from tests.interop.apps import shared
from tests.interop.apps.shared import CANARIES, PROMPT, SYSTEM


def model() -> Any:
    """Return the stub, under the name of a model that the library knows."""
    return OpenAI(model="gpt-4o-mini", api_base=os.environ["OPENAI_BASE_URL"], api_key="stub", max_retries=0)


def agent(name: str, *, streaming: bool = False) -> FunctionAgent:
    """Return an agent with two tools."""
    return FunctionAgent(
        name=name,
        description="a clerk",
        tools=[shared.lookup_order, shared.weather],
        llm=model(),
        system_prompt=SYSTEM,
        streaming=streaming,
    )


def main() -> None:
    """Five agents and a query."""
    Settings.embed_model, Settings.llm = MockEmbedding(8), model()
    asyncio.run(_agents())
    texts = [f"{number} {CANARIES['document']}" for number in ("one", "two")]
    index = VectorStoreIndex.from_documents([Document(text=text, id_=f"doc-{text[:3]}") for text in texts])
    index.as_query_engine(similarity_top_k=2).query(f"{CANARIES['query']} PLAIN")


async def _agents() -> None:
    await agent("concierge").run(PROMPT)
    streamed = agent("streamer", streaming=True).run(PROMPT)
    async for _ in streamed.stream_events():
        pass
    await streamed
    await asyncio.gather(*[agent(f"clerk{number}").run(f"{PROMPT} {number}") for number in range(3)])
