"""How the records of open runs get to the disk: into journals or segments, synced or not, as far as there is room."""
