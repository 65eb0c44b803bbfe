"""Finds the run of a span and its place in that run: contexts, tokens, lanes and the table of live spans."""
