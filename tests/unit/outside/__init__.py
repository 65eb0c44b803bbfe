"""Tests of what comes from outside: bundles, stores and spools that somebody else has had in hand."""
