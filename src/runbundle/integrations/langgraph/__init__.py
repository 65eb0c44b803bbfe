"""LangGraph: a saver that keeps checkpoints in a run store, and runs that begin with each invocation of a graph."""

from runbundle.integrations.langgraph.saver import RunStoreSaver

__all__ = ["RunStoreSaver"]
