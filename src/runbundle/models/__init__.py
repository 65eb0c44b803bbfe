"""The records of the format, as pydantic models at the edges and plain dicts on the hot path."""
