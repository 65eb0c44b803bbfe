"""Keys: those that people give, and those that runbundle makes and keeps for this user, one for each store."""
