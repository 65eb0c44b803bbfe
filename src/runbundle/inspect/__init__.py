"""Reading sealed bundles and journals for people: what happened, where it failed, what was withheld."""
