"""Payloads: arguments, results and configuration, redacted by selectors and by values that were withheld elsewhere."""
