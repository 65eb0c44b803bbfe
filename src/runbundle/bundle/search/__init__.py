"""Which of the runs that an index knows are wanted, and what they add up to."""
