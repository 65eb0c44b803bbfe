"""Helpers that tests of several folders share; fixtures are in conftest.py."""
