"""Run the command line with ``python -m evalguard``."""

from evalguard.cli.app import main

main()
