"""A LangGraph agent that is killed half-way, and goes on in a new process: one run, one bundle.

Its tools carry `@tool`, its nodes nothing. `configure()` and the saver are all that is added. Run it with no argument
for a state in SQLite, or with the URL of a PostgreSQL database. Three processes follow each other: the first is killed
within a tool call, the second goes on and comes to a question, the third answers it.

pip install 'runbundle[langgraph]' langgraph
"""

import operator
import os
import signal
import subprocess
import sys
import uuid
from pathlib import Path
from typing import Annotated, TypedDict

from langgraph.graph import END, START, StateGraph
from langgraph.types import Command, interrupt

import runbundle
from runbundle.integrations.langgraph import RunStoreSaver
from runbundle.runstate import from_url

CONTRACT = runbundle.ToolContract(
    name="reserve",
    data=runbundle.DataHandling(rules=(runbundle.FieldRule(selector="/table", action="keep"),)),
)


class State(TypedDict):
    """What the graph knows."""

    notes: Annotated[list[str], operator.add]


@runbundle.tool
def find_table(guests: int) -> str:
    """Look for a table."""
    return f"T{guests}"


@runbundle.tool
def reserve(table: str) -> str:
    """Reserve it; the first process does not survive this."""
    if os.environ.get("KILLED_HERE"):
        os.kill(os.getpid(), signal.SIGKILL)
    return f"{table} is reserved"


@runbundle.tool
def confirm(answer: str) -> str:
    """Confirm, as the guest has answered."""
    return f"confirmed: {answer}"


def look(state: State) -> State:
    """Find a table."""
    return {"notes": [find_table(4)]}


def book(state: State) -> State:
    """Reserve what was found."""
    return {"notes": [reserve(state["notes"][-1])]}


def ask(state: State) -> State:
    """Ask the guest, who answers in another process, perhaps tomorrow."""
    return {"notes": [confirm(interrupt("Is eight o'clock all right?"))]}


def graph(saver: RunStoreSaver):
    """Return the graph: look, book, ask."""
    builder = StateGraph(State)
    for node in (look, book, ask):
        builder.add_node(node.__name__, node)
    for one, other in ((START, "look"), ("look", "book"), ("book", "ask"), ("ask", END)):
        builder.add_edge(one, other)
    return builder.compile(checkpointer=saver)


def part(step: str, thread: str, state_url: str) -> None:
    """Do one process's part of the work."""
    what = {"begin": {"notes": []}, "go-on": None, "answer": Command(resume="yes")}[step]
    with runbundle.configure(contracts=[CONTRACT]), from_url(state_url) as store:
        config = {"configurable": {"thread_id": thread}}
        notes = graph(RunStoreSaver(store)).invoke(what, config, durability="sync")["notes"]
    print(f"{step}: {', '.join(notes)}")


def main() -> None:
    """Have three processes do the work, the first of which is killed."""
    state_url = sys.argv[1] if len(sys.argv) > 1 else f"sqlite://{Path('run-state.sqlite').resolve()}"
    thread = uuid.uuid4().hex
    for step in ("begin", "go-on", "answer"):
        environment = {**os.environ, "KILLED_HERE": "1" if step == "begin" else ""}
        done = subprocess.run([sys.executable, __file__, step, thread, state_url], env=environment, check=False)
        if done.returncode == -signal.SIGKILL:
            print(f"{step}: killed while it reserved a table")
    print("next: runbundle show @last")


if __name__ == "__main__":
    part(*sys.argv[1:]) if len(sys.argv) == 4 else main()
