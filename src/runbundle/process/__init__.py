"""What a process does to us."""
