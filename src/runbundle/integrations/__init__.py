"""Frameworks whose runs are recorded without a decorator. Each folder is imported only by who uses the framework."""
