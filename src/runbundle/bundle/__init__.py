"""Sealed bundles: assembling, sealing, reading, finding, verifying, copying and removing them."""
