"""Which framework is run with which instrumentation, and what its bundles have to say: what the application did, as far
as the dialect tells it.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from tests.interop import dumps
from tests.interop.environments import pins

CLERKS = ("clerk0", "clerk1", "clerk2")
_LANGGRAPH = ("concierge", "streamer", *CLERKS, "unlucky")
_AGENTS = ("concierge", "streamer", "triage", "billing", *CLERKS, "unlucky")


@dataclass(frozen=True)
class Combination:
    """One application and dialect."""

    application: str
    dialect: str
    environment: str
    framework: str
    """The framework's package; with a dialect that it does not emit itself, `instrumentation` is beside it."""
    instrumentation: str
    bundles: int
    tools: int
    models: int
    usage: tuple[int, int]
    """Input and output tokens of all model calls."""
    agents: tuple[str, ...] = ()
    lookups: int = 0
    """How many calls of `lookup_order` there are; its contract keeps the order's id and status."""
    documents: int = 0
    outside: int = 0
    """How many spans belong to no run: indexing, and a notification of a protocol in a trace of its own."""
    varies: int = 0
    """By how much the number of spans differs from one run to the next: the framework races with itself."""
    lacks: dict[str, str] = field(default_factory=dict[str, str])
    """By cell, why it holds nothing: the dialect does not emit it."""
    note: str = ""

    @property
    def name(self) -> str:
        """Name in tests and in files."""
        return f"{self.application}.{self.dialect}"

    @property
    def versions(self) -> dict[str, str]:
        """The packages whose versions make the dialect, as they are pinned."""
        pinned = pins(self.environment)
        return {package: pinned[package] for package in dict.fromkeys((self.framework, self.instrumentation))}

    @property
    def golden(self) -> Path:
        """Where the golden dump of the pinned versions is."""
        version = self.versions[self.instrumentation]
        return dumps.FOLDER / f"{self.name}.{version}.json.gz"

    @property
    def goldens(self) -> list[Path]:
        """Where the golden dumps of all versions are."""
        return sorted(dumps.FOLDER.glob(f"{self.name}.*.json.gz"))


def _instrumented(dialect: str) -> tuple[str, str]:
    """Return environment, and the beginning of the names of the packages that instrument in a dialect."""
    return {
        "genai": ("genai", "opentelemetry-instrumentation-genai-"),
        "genai+openai": ("genai", "opentelemetry-instrumentation-genai-"),
        "openinference": ("openinference", "openinference-instrumentation-"),
        "openllmetry": ("openllmetry", "opentelemetry-instrumentation-"),
    }[dialect]


_NO_TOOLS = {"tools": "runs them itself", "contract": "no spans of tools", "agents": "has none"}


def _openai() -> Iterator[Combination]:
    for dialect in ("genai", "openinference", "openllmetry"):
        environment, packages = _instrumented(dialect)
        yield Combination(
            "openai", dialect, environment, "openai", f"{packages}openai", 8, 0, 9, (99, 56), lacks=_NO_TOOLS
        )


def _anthropic() -> Iterator[Combination]:
    note = "the SDK emits spans of its own too"
    apart = f"{note}, and they are roots beside those of the instrumentation, in traces of their own"
    for dialect, bundles, models, usage, say in (
        ("genai", 7, 8, (98, 49), note),
        ("openinference", 8, 9, (112, 56), f"{note}; for one streamed call in a trace of their own"),
        ("openllmetry", 13, 14, (168, 86), apart),
    ):
        environment, packages = _instrumented(dialect)
        yield Combination(
            "anthropic", dialect, environment, "anthropic", f"{packages}anthropic", bundles, 0, models, usage,
            lacks=_NO_TOOLS, note=say,
        )  # fmt: skip


def _openai_agents() -> Iterator[Combination]:
    no_models = {"models": "no spans of model calls", "usage": "no spans of model calls"}
    few = {"usage": "only of the responses interface: 2 of 13 calls"}
    for dialect, models, usage, lacks in (
        ("genai", 0, (0, 0), no_models),
        ("genai+openai", 13, (143, 91), {}),
        ("openinference", 13, (143, 91), {}),
        ("openllmetry", 13, (22, 14), few),
    ):
        environment, packages = _instrumented(dialect)
        yield Combination(
            "openai_agents", dialect, environment, "openai-agents", f"{packages}openai-agents", 7, 11, models, usage,
            agents=_AGENTS, lookups=5, lacks=lacks,
        )  # fmt: skip


def _langgraph() -> Iterator[Combination]:
    few = {"usage": "not of streamed calls: 10 of 12 calls"}
    for dialect in ("genai", "openinference", "openllmetry"):
        environment, packages = _instrumented(dialect)
        yield Combination(
            "langgraph", dialect, environment, "langgraph", f"{packages}langchain", 7, 11, 12, (110, 70),
            agents=_LANGGRAPH, lookups=5, documents=2, lacks=few,
        )  # fmt: skip


def _mcp() -> Iterator[Combination]:
    lacks = {"models": "has none", "usage": "has none", "contract": "no arguments, no results"}
    spreads = "the instrumentation only carries the trace on, by zero code for the notification too"
    for application, dialect, environment, instrumentation, varies, note in (
        ("mcp_stdio", "own", "genai", "mcp", 0, "two processes"),
        ("mcp_http", "own", "genai", "mcp", 0, "two processes"),
        ("mcp_stdio", "openinference", "openinference", "openinference-instrumentation-mcp", 1, spreads),
    ):
        yield Combination(
            application, dialect, environment, "mcp", instrumentation, 1, 3, 0, (0, 0),
            agents=("concierge",), outside=1, varies=varies, lacks=lacks, note=note,
        )  # fmt: skip


COMBINATIONS = (
    Combination(
        "pydantic_ai", "own", "genai", "pydantic-ai-slim", "pydantic-ai-slim", 7, 13, 14, (154, 98),
        agents=("concierge", "concierge", "patient", *CLERKS, "unlucky"), lookups=7,
    ),
    *_openai(),
    *_openai_agents(),
    *_langgraph(),
    *_anthropic(),
    *_mcp(),
    Combination(
        "litellm", "own", "own", "litellm", "litellm", 7, 0, 7, (77, 54), lacks=_NO_TOOLS,
        note="guesses the usage of a streamed call",
    ),
    Combination(
        "strands", "own", "own", "strands-agents", "strands-agents", 6, 11, 12, (132, 84),
        agents=("concierge", "streamer", *CLERKS, "unlucky"), lookups=5,
    ),
    Combination(
        "llama_index", "openinference", "own", "llama-index-core", "openinference-instrumentation-llama-index",
        6, 10, 11, (99, 63), agents=("FunctionAgent",) * 5, lookups=5, documents=2, outside=7, varies=8,
        lacks={"usage": "not of streamed calls: 9 of 11 calls"}, note="calls each agent by its class",
    ),
)  # fmt: skip
BY_NAME = {combination.name: combination for combination in COMBINATIONS}
