"""Which class instruments which framework, in which dialect."""

import importlib
from typing import Any

CLASSES = {
    ("openai", "genai"): ("opentelemetry.instrumentation.genai.openai:OpenAIInstrumentor",),
    ("openai", "openinference"): ("openinference.instrumentation.openai:OpenAIInstrumentor",),
    ("openai", "openllmetry"): ("opentelemetry.instrumentation.openai:OpenAIInstrumentor",),
    ("openai_agents", "genai"): ("opentelemetry.instrumentation.genai.openai_agents:OpenAIAgentsInstrumentor",),
    ("openai_agents", "genai+openai"): (
        "opentelemetry.instrumentation.genai.openai_agents:OpenAIAgentsInstrumentor",
        "opentelemetry.instrumentation.genai.openai:OpenAIInstrumentor",
    ),
    ("openai_agents", "openinference"): ("openinference.instrumentation.openai_agents:OpenAIAgentsInstrumentor",),
    ("openai_agents", "openllmetry"): ("opentelemetry.instrumentation.openai_agents:OpenAIAgentsInstrumentor",),
    ("langgraph", "genai"): ("opentelemetry.instrumentation.genai.langchain:LangChainInstrumentor",),
    ("langgraph", "openinference"): ("openinference.instrumentation.langchain:LangChainInstrumentor",),
    ("langgraph", "openllmetry"): ("opentelemetry.instrumentation.langchain:LangchainInstrumentor",),
    ("anthropic", "genai"): ("opentelemetry.instrumentation.genai.anthropic:AnthropicInstrumentor",),
    ("anthropic", "openinference"): ("openinference.instrumentation.anthropic:AnthropicInstrumentor",),
    ("anthropic", "openllmetry"): ("opentelemetry.instrumentation.anthropic:AnthropicInstrumentor",),
    ("mcp", "openinference"): ("openinference.instrumentation.mcp:MCPInstrumentor",),
    ("llama_index", "openinference"): ("openinference.instrumentation.llama_index:LlamaIndexInstrumentor",),
}


def classes(application: str, dialect: str) -> tuple[str, ...]:
    """Return the classes that instrument an application; none if its framework emits spans of its own."""
    framework = "mcp" if application.startswith("mcp_") else application
    return CLASSES.get((framework, dialect), ())


def instrument(application: str, dialect: str, tracer_provider: Any) -> None:
    """Instrument the framework of an application in code."""
    for place in classes(application, dialect):
        module, name = place.split(":")
        getattr(importlib.import_module(module), name)().instrument(tracer_provider=tracer_provider)
