"""Bundles: journal, assemble, seal; locate, read, verify."""
