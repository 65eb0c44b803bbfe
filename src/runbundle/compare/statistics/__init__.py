"""Statistics over cases, in plain Python: pure functions of numbers, with a seed where chance is needed."""
