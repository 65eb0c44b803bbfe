"""Runs the command line: `python -m runbundle.cli` is the same as `runbundle`."""

from runbundle.cli.main import main

main()
