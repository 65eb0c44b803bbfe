"""Tools in parallel: asyncio tasks, and threads through `in_context`. Each call keeps its place in the run."""

import asyncio
from concurrent.futures import ThreadPoolExecutor

import runbundle


@runbundle.tool
async def fetch(source: str) -> str:
    await asyncio.sleep(0.01)
    return f"page of {source}"


@runbundle.tool
def summarise(text: str) -> str:
    return text[:10]


@runbundle.agent(name="researcher")
async def research(sources: list[str]) -> list[str]:
    pages = await asyncio.gather(*(fetch(source) for source in sources))
    with ThreadPoolExecutor(max_workers=2) as pool:
        return list(pool.map(runbundle.in_context(summarise), pages))


@runbundle.run
async def main() -> list[str]:
    return await research(["north", "south", "east"])


if __name__ == "__main__":
    with runbundle.configure() as handle:
        print(asyncio.run(main()))
        print(f"sealed: {handle.flush().sealed[-1]}")
    print("next: runbundle show @last")
