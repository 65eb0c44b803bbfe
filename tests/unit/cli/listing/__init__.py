"""Tests of runbundle.cli.listing."""
