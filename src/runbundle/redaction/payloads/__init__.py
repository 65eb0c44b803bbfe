"""Payloads: arguments, results and configuration, redacted by selectors and by what was withheld elsewhere."""
