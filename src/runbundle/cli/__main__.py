"""`python -m runbundle.cli`, the same as `runbundle`."""

from runbundle.cli.main import main

main()
