"""Forwards redacted spans and logs by OTLP to one or several destinations, and keeps what an outage held up."""

EXPORTERS_S = 5.0
"""Seconds that the end of a process waits for the delivery of queued items."""
