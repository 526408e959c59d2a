"""`python -m orchestration.cli`: the command line without an installed script."""

from orchestration.cli.main import main

main()
