"""Scores of one run: what it recorded itself, what its calls and counts give, and what scorers of the user say."""
