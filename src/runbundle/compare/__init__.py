"""Comparing runs: what differs between two, and why."""
