"""Comparing runs: why two differ, scores of one, statistics over many, gates between two sets."""
