"""Run the command line with `python -m lamplighter`."""

from lamplighter.cli import main

main()
