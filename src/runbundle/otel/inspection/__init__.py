"""Diagnosis, never on the path of a span: `doctor`, `redact check`, and notices that say that nothing is recorded."""
