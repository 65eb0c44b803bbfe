"""Detectors: the net beneath the contracts. They find credentials in text by format, by context, or by value."""
