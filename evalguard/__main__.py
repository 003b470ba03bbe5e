"""``python -m evalguard``."""

from evalguard.cli import main

main()
