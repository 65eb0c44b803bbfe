"""The flight recorder for AI agents, built on OpenTelemetry.

    import runbundle

    with runbundle.configure(store="./runs"):
        my_agent()  # decorated with @runbundle.run, @runbundle.tool, ...

Importing this module does no work; each name is loaded when it is first used, so that reading bundles needs no
OpenTelemetry.
"""

import logging
from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from runbundle.bundle.catalog.index import RunFilter
    from runbundle.contracts.approval import Decision, ToolCall
    from runbundle.contracts.derive import (
        Sensitive,
        contract_from_function,
        contract_from_model,
        contract_from_schema,
        contracts_from_tools,
    )
    from runbundle.contracts.files import load_contracts
    from runbundle.errors import (
        AlreadyExists,
        BundleError,
        BundleQuarantined,
        ConfigError,
        ContractError,
        KeyChanged,
        KeyNotFound,
        MalformedBundle,
        NotSealed,
        PolicyBlocked,
        RunbundleError,
        StoreError,
        StoreUnavailable,
        UnsupportedVersion,
        WriteConflict,
    )
    from runbundle.format.contract import DataHandling, FieldRule, ToolContract
    from runbundle.inspect.open_store import RunSummary, Store, open_store
    from runbundle.inspect.recorded import RecordedSpan, SpanError
    from runbundle.inspect.sealed_run import SealedRun
    from runbundle.inspect.unsealed_run import UnsealedRun
    from runbundle.otel.agent.carry import carrier, continue_run, in_context
    from runbundle.otel.agent.decorators import agent, model, retriever, run, step, tool
    from runbundle.otel.agent.run_handle import RunHandle, current_run
    from runbundle.otel.agent.starts import start_agent, start_model, start_retriever, start_run, start_step, start_tool
    from runbundle.otel.configure import configure
    from runbundle.otel.exporters import RedactingSpanExporter, RedactingSpanProcessor
    from runbundle.otel.forwarding.option import Otlp
    from runbundle.otel.handle import Handle
    from runbundle.recording.results import Delivery, FlushResult
    from runbundle.redaction.detectors.known_secrets import register_secret


def _on_one_line(record: logging.LogRecord) -> bool:
    """Let a log message through, with what it quotes made visible: ids, claims and errors come from outside."""
    return import_module("runbundle.process.printable").on_one_line(record)


logging.getLogger("runbundle").addFilter(_on_one_line)

_PLACES = {
    "runbundle.recording.results": ["Delivery", "FlushResult"],
    "runbundle.errors": [
        "AlreadyExists", "BundleError", "BundleQuarantined", "ConfigError", "ContractError", "KeyChanged",
        "KeyNotFound", "MalformedBundle", "NotSealed", "PolicyBlocked", "RunbundleError",
        "StoreError", "StoreUnavailable", "UnsupportedVersion", "WriteConflict",
    ],
    "runbundle.format.contract": ["DataHandling", "FieldRule", "ToolContract"],
    "runbundle.bundle.catalog.index": ["RunFilter"],
    "runbundle.inspect.open_store": ["RunSummary", "Store", "open_store"],
    "runbundle.inspect.recorded": ["RecordedSpan", "SpanError"],
    "runbundle.inspect.sealed_run": ["SealedRun"],
    "runbundle.inspect.unsealed_run": ["UnsealedRun"],
    "runbundle.contracts.approval": ["Decision", "ToolCall"],
    "runbundle.otel.configure": ["configure"],
    "runbundle.otel.handle": ["Handle"],
    "runbundle.otel.agent.decorators": ["agent", "model", "retriever", "run", "step", "tool"],
    "runbundle.otel.exporters": ["RedactingSpanExporter", "RedactingSpanProcessor"],
    "runbundle.otel.forwarding.option": ["Otlp"],
    "runbundle.otel.agent.run_handle": ["RunHandle", "current_run"],
    "runbundle.otel.agent.starts": [
        "start_agent", "start_model", "start_retriever", "start_run", "start_step", "start_tool",
    ],
    "runbundle.otel.agent.carry": ["carrier", "continue_run", "in_context"],
    "runbundle.contracts.files": ["load_contracts"],
    "runbundle.contracts.derive": [
        "Sensitive", "contract_from_function", "contract_from_model", "contract_from_schema", "contracts_from_tools",
    ],
    "runbundle.redaction.detectors.known_secrets": ["register_secret"],
}  # fmt: skip
_HOME = {name: module for module, names in _PLACES.items() for name in names}

__all__ = [
    "AlreadyExists",
    "BundleError",
    "BundleQuarantined",
    "ConfigError",
    "ContractError",
    "DataHandling",
    "Decision",
    "Delivery",
    "FieldRule",
    "FlushResult",
    "Handle",
    "KeyChanged",
    "KeyNotFound",
    "MalformedBundle",
    "NotSealed",
    "Otlp",
    "PolicyBlocked",
    "RecordedSpan",
    "RedactingSpanExporter",
    "RedactingSpanProcessor",
    "RunFilter",
    "RunHandle",
    "RunSummary",
    "RunbundleError",
    "SealedRun",
    "Sensitive",
    "SpanError",
    "Store",
    "StoreError",
    "StoreUnavailable",
    "ToolCall",
    "ToolContract",
    "UnsealedRun",
    "UnsupportedVersion",
    "WriteConflict",
    "agent",
    "carrier",
    "configure",
    "continue_run",
    "contract_from_function",
    "contract_from_model",
    "contract_from_schema",
    "contracts_from_tools",
    "current_run",
    "in_context",
    "load_contracts",
    "model",
    "open_store",
    "register_secret",
    "retriever",
    "run",
    "start_agent",
    "start_model",
    "start_retriever",
    "start_run",
    "start_step",
    "start_tool",
    "step",
    "tool",
]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'runbundle' has no attribute {name!r}")
    value = getattr(import_module(_HOME[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
