"""Dialects: one table for each way in which instrumentations write down an agent's work."""
