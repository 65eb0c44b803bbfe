"""Integrations of agent frameworks. Each folder is imported only by users of its framework."""
