"""What the format is, as data: nothing here reads or writes."""
