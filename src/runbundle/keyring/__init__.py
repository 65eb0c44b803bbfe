"""Keys: those that people give, and those that are made and kept for this user, one a store."""
