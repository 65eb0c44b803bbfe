"""Redaction: functions from raw records to redacted records and receipts. No I/O, no clock, no OpenTelemetry."""
