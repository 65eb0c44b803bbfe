"""Shared by the commands that list, search and count runs."""
