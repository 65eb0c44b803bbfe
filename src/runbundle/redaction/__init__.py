"""Redaction: pure functions from raw records to redacted records and a receipt. No I/O, no clock, no OpenTelemetry."""
