"""Contracts of tools: written, read, derived, checked, explained and enforced. Nothing here runs for a span."""
