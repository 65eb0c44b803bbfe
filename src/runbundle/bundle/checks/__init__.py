"""Everything that a bundle says, checked: files, structure, times, and what follows from the events."""
