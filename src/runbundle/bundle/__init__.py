"""A sealed bundle: read, sealed, found, kept, copied and verified."""
