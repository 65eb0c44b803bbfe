"""Spans and log records as plain records: their attribute keys, their operations, and how attributes are read."""
