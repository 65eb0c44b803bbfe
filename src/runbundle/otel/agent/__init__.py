"""What an agent calls: decorators, scopes, the handle of a run; and how values are made attributes."""
