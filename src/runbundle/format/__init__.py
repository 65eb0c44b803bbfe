"""The bundle format, version 1: the model of each file, the layout and the findings. Nothing here reads or writes files."""
