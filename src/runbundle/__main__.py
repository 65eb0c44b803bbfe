"""`python -m runbundle` is the command `runbundle`."""

from runbundle.cli.main import main

main()
