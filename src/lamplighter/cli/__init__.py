"""The command line: one thin file for each group of commands.

Results go to stdout, progress and errors to stderr. Nothing heavy is imported before the command
that needs it runs.
"""

import sys
from typing import NoReturn


def main() -> NoReturn:
    """Run the command line; ends with 0, with 2 for bad use, or with 1 and one line on stderr."""
    try:
        from lamplighter.cli.app import main as run

        run()
    except KeyboardInterrupt:  # before a command has begun, or while its error was being told
        sys.stderr.write("lamplighter: stopped.\n")
        raise SystemExit(1) from None


__all__ = ["main"]
