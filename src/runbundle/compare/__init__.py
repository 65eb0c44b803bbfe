"""Comparison of runs: scores of one, statistics over many, gates between two sets."""
