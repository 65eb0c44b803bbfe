"""The code that an agent calls: decorators, scopes and the handle of a run; and how values become attributes."""
