"""The command line: one thin file for each group of commands.

Results go to stdout, progress and errors to stderr. Nothing heavy is imported before the command
that needs it runs.
"""

from lamplighter.cli.app import main

__all__ = ["main"]
