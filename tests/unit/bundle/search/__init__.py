"""Tests of runbundle.bundle.search."""
