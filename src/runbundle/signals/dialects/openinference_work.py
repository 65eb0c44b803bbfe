"""Of spans of OpenInference which kind of work they are, and what agents, steps and tools are called.

Where a span has names of the GenAI conventions too, the kind is believed as it stands in OpenInference.
"""

from collections.abc import Mapping
from typing import Any, cast

from runbundle.signals import own, semconv
from runbundle.signals.dialects.forms.table import Reading
from runbundle.signals.names import CHAT, EXECUTE_TOOL, INDEX, INVOKE_AGENT, RETRIEVAL, STEP
from runbundle.signals.reading import json_of

KIND, INPUT, OUTPUT = "openinference.span.kind", "input.value", "output.value"
EMBEDDINGS = "embeddings"
_SCOPE = "openinference.instrumentation."
_JSON_CHARS = 65_536

_WORK = {
    "AGENT": INVOKE_AGENT, "TOOL": EXECUTE_TOOL, "LLM": CHAT, "EMBEDDING": EMBEDDINGS, "RETRIEVER": RETRIEVAL,
    "RERANKER": RETRIEVAL,
}  # fmt: skip
"""By kind of span. Any other kind, CHAIN first of all, is a step."""
_METHODS = (
    ".run", ".arun", ".run_async", "._execute_core", ".execute", ".kickoff", ".kickoff_async", ".__call__", ".acall",
    ".call", ".forward", ".aforward",
)  # fmt: skip
"""What instrumentations write behind the name of an agent or a tool."""
_NO_CALLS = ("predict", "predict_and_call", "PromptBuilder.run", "PromptBuilder.run_async")
"""Ends of names of spans of kind LLM that hold the call, or make its prompt. A method that begins with `_` is within
the span of the public one, or before it."""
_AGENTS = ("Agent.run", "Agent.arun", "Agent.run_async")
"""Ends of names of CHAIN spans that are agents, of LlamaIndex and Haystack."""
_INDEXING = ("Splitter.", "NodeParser.", "IngestionPipeline.", "DocumentWriter.", "DocumentCleaner.")
"""In names of steps that prepare what is searched later, of LlamaIndex and Haystack."""
_WITHOUT_AGENT = frozenset({"openai_agents"})
"""Instrumentations that call a workflow an AGENT: without a name it is none."""


def work_of(reading: Reading) -> str:
    """Set what kind of work a span is and, of agents, steps and tools, its name; return the kind."""
    kind = reading.text(KIND).upper()
    about = _metadata(reading) if "metadata" in reading.attributes else _NOTHING
    work = _WORK.get(kind, "")
    if kind == "CHAIN" and _is_agent(reading, about):
        work = INVOKE_AGENT
    elif work in _CALLS and (_is_private(reading.name) or (work == CHAT and reading.name.endswith(_NO_CALLS))):
        work = ""
    name = reading.name
    if work == INVOKE_AGENT:
        name = _agent_name(reading, about)
        if name:
            reading.put(semconv.AGENT_NAME, name)
        elif semconv.AGENT_NAME not in reading.attributes:
            work, name = "", reading.name
    elif work == EXECUTE_TOOL:
        if "tool.name" not in reading.attributes and semconv.TOOL_NAME not in reading.attributes:
            if name.startswith("handoff"):
                work = ""
            elif name:
                reading.put(semconv.TOOL_NAME, _without_method(name))
        if about:
            reading.put(semconv.AGENT_NAME, _text(about.get("lc_agent_name")))
    if work:
        reading.attributes[semconv.OPERATION] = work
        return work
    attributes = reading.attributes
    attributes.pop(semconv.OPERATION, None)
    attributes.setdefault(own.OP, STEP)
    if kind == "EMBEDDING" or _prepares(name):  # of an embedding's inside, too
        attributes[semconv.OPERATION] = INDEX
    if name:
        attributes.setdefault(own.NAME, name)
    return STEP


_NOTHING: Mapping[str, Any] = {}
_CALLS = frozenset({CHAT, RETRIEVAL, EMBEDDINGS})


def _prepares(name: str) -> bool:
    return "." in name and any(word in name for word in _INDEXING)


def _is_private(name: str) -> bool:
    method = name.rpartition(".")[2]
    return method[:1] == "_" and method[:2] != "__"


def _is_agent(reading: Reading, about: Mapping[str, Any]) -> bool:
    name = reading.name
    if about.get("ls_integration") == "langchain_create_agent":
        return name == about.get("lc_agent_name") or "langgraph_node" not in about
    return name.endswith(_AGENTS) or (name.endswith(".kickoff") and "crew_key" in reading.attributes)


def _agent_name(reading: Reading, about: Mapping[str, Any]) -> str:
    """Return the name of an agent; "" if there is none but the span's own where that is a workflow's."""
    framework = instrumentation(reading)
    for key in ("agent.name", "graph.node.name", "graph.node.id"):
        name = reading.text(key)
        if name and not (key == "graph.node.id" and framework == "agno"):
            return name
    name = _text(about.get("lc_agent_name"))
    if name:
        return name
    if framework in _WITHOUT_AGENT or (not framework and not _says_more(reading)):
        return ""
    return _without_method(reading.name)


def _text(said: Any) -> str | None:
    return said if isinstance(said, str) and said else None


def _says_more(reading: Reading) -> bool:
    """Tell whether there is more than a kind: a workflow has nothing else."""
    return INPUT in reading.attributes or OUTPUT in reading.attributes


def _without_method(name: str) -> str:
    for method in _METHODS:
        if name.endswith(method) and len(name) > len(method):
            return name[: -len(method)]
    return name


def instrumentation(reading: Reading) -> str:
    """Return the framework that an instrumentation of OpenInference is for; "" for any other scope."""
    return reading.scope.removeprefix(_SCOPE) if reading.scope.startswith(_SCOPE) else ""


# -- what metadata says ----------------------------------------------------------------------------------------------

_ABOUT = (
    (own.SESSION_ID, "session.id", ("session_id", "thread_id")),
    (own.USER_ID, "user.id", ("user_id",)),
)
"""Our attributes, the attribute that is believed more, and the words of metadata that say them, the most believable
first."""


def _metadata(reading: Reading) -> Mapping[str, Any]:
    """Read for whom the work is done, and return all that metadata says. It stays where it is, as content."""
    about = mapping_of(reading.attributes.get("metadata"))
    for target, believed, words in _ABOUT if about else ():
        if believed in reading.attributes:
            continue
        for word in words:
            value = about.get(word)
            if isinstance(value, str | int) and value != "":
                reading.put(target, str(value))
                break
    return about


def mapping_of(said: Any) -> Mapping[str, Any]:
    """Return the mapping that a JSON text of at most 65,536 characters holds; an empty one for anything else."""
    if not isinstance(said, str) or len(said) > _JSON_CHARS:
        return {}
    found = json_of(said)
    return cast("dict[str, Any]", found) if isinstance(found, dict) else {}
