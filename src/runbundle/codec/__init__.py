"""Records and bytes: journal lines, and the attribute dialects that different instrumentations speak."""
