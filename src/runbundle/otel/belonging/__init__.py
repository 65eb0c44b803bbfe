"""Which run a span belongs to, and where in the run it stands: contexts, tokens, lanes and the table of live spans."""
