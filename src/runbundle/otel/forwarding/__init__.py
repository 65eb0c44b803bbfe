"""Forwards redacted spans and logs by OTLP to one or several destinations, and keeps what an outage held up."""
