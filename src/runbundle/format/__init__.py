"""The format, version 1: the model of each file, the findings and the layout. Nothing here reads or writes."""
