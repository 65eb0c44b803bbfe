"""The records of the format, as pydantic models where they are read or sealed and as plain dicts where they are fast."""
