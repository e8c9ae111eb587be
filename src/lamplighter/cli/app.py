"""The `lamplighter` command: its subcommands, and how it ends."""

from __future__ import annotations

import os
import sys
from typing import Annotated

import typer

from lamplighter.cli import evaluating, exporting, predicting, training
from lamplighter.errors import LamplighterError

app = typer.Typer(
    help="Image classification for people, on the machine they have.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.command("train")(training.train)
app.command("evaluate")(evaluating.evaluate)
app.command("predict")(predicting.predict)
app.command("info")(exporting.info)
app.command("export")(exporting.export)
app.command("models")(training.models)


def _print_version(wanted: bool) -> None:
    if wanted:
        from lamplighter import __version__

        typer.echo(f"lamplighter {__version__}")
        raise typer.Exit


@app.callback()
def root(
    version: Annotated[
        bool,
        typer.Option(
            "--version", callback=_print_version, is_eager=True, help="Print the version."
        ),
    ] = False,
) -> None:
    """Image classification for people, on the machine they have."""


def main() -> None:
    """Run the command line; ends with 0, with 2 for bad use, or with 1 and one line on stderr."""
    try:
        app(prog_name="lamplighter")
    except LamplighterError as error:
        _fail(str(error))
    except BrokenPipeError:
        # The reader, such as `head`, has all that it wants.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except Exception as error:
        if os.environ.get("LAMPLIGHTER_TRACEBACK"):
            raise
        first = (str(error).strip() or "no message").splitlines()[0]
        _fail(
            f"this should not have happened: {type(error).__name__}: {first} "
            "Please report it, with what LAMPLIGHTER_TRACEBACK=1 prints."
        )


def _fail(message: str) -> None:
    line = " ".join(message.split())
    sys.stderr.write(f"lamplighter: {line}\n")
    raise SystemExit(1)
