"""LangGraph: a checkpointer over any run store, and a run for each invocation of a graph."""

from runbundle.integrations.langgraph.saver import RunStoreSaver

__all__ = ["RunStoreSaver"]
