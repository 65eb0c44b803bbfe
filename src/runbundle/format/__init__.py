"""The bundle format, version 1: a model of each file, the layout and the findings. No function here reads files."""
