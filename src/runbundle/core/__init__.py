"""Cores run the plan of a redactor: the one in Python, which is the authority, and a native one, if it is installed."""
