"""The `lamplighter` command: its subcommands, and how it ends."""

from __future__ import annotations

import atexit
import gc
import inspect
import os
import re
import sys
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer

from lamplighter.cli import labels, labs
from lamplighter.cli.audit import audit
from lamplighter.cli.card import card
from lamplighter.cli.data import data
from lamplighter.cli.embed import embed
from lamplighter.cli.evaluate import evaluate
from lamplighter.cli.explain import explain
from lamplighter.cli.export import export
from lamplighter.cli.info import info
from lamplighter.cli.layers import feature_maps, filters, layers
from lamplighter.cli.map import map_data
from lamplighter.cli.maximise import maximise
from lamplighter.cli.models import models
from lamplighter.cli.page import page
from lamplighter.cli.predict import predict
from lamplighter.cli.serve import serve
from lamplighter.cli.similar import similar
from lamplighter.cli.studio import studio
from lamplighter.cli.suspects import suspects
from lamplighter.cli.terminal import printable
from lamplighter.cli.train import train
from lamplighter.cli.transfer import transfer
from lamplighter.cli.usage_errors import told
from lamplighter.errors import LamplighterError, LamplighterWarning
from lamplighter.version import __version__

if TYPE_CHECKING:
    from collections.abc import Callable

# What stands for bad use; typer and click have kept it in different places.
_UsageError: type[Any] = typer.BadParameter.__mro__[1]
_INTERRUPTED = 130  # what typer makes of Ctrl-C
# Importing torch, timm and scikit-learn makes a million objects that all stay: looking for garbage
# among them after every 700 took a tenth of the time of `transfer`.
_COLLECT_AFTER = (100_000, 20, 100)

app = typer.Typer(
    help="Image classification that runs on your own computer.",
    invoke_without_command=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    suggest_commands=False,  # `told` does
    context_settings={"help_option_names": ["-h", "--help"]},
)
# The commands as `--help` groups them.
_COMMANDS: dict[str, dict[str, Callable[..., None]]] = {
    "Start here": {
        "data": data,
        "train": train,
        "evaluate": evaluate,
        "predict": predict,
        "models": models,
    },
    "Photos of your own": {
        "audit": audit,
        "suspects": suspects,
        "studio": studio,
        "transfer": transfer,
        "embed": embed,
        "similar": similar,
        "map": map_data,
    },
    "Look inside a network": {
        "explain": explain,
        "layers": layers,
        "filters": filters,
        "feature-maps": feature_maps,
        "maximise": maximise,
    },
    "Share": {
        "info": info,
        "export": export,
        "card": card,
        "page": page,
        "serve": serve,
    },
}
_LABS: dict[str, Callable[..., None]] = {
    "write": labs.write,
    "check": labs.check,
    "collect": labs.collect,
}


def _help_of(command: Callable[..., None]) -> str:
    """Return the help of a command, whose arguments are made ready for typer."""
    # typer asks three times for what each argument is, and would read it from its text each time.
    command.__annotations__ = inspect.get_annotations(command, eval_str=True)
    # typer keeps the line breaks of a docstring, within which a terminal then breaks anew.
    return re.sub(r"(?<=\S)\n(?=\S)", " ", inspect.getdoc(command) or "")


def _add(group: typer.Typer, name: str, command: Callable[..., None], panel: str | None) -> None:
    group.command(name, help=_help_of(command), rich_help_panel=panel)(command)


for _panel, _commands in _COMMANDS.items():
    for _name, _command in _commands.items():
        _add(app, _name, _command, _panel)
_labels = typer.Typer(
    cls=labels.LabelsGroup,
    invoke_without_command=True,
    subcommand_metavar="[COMMAND] [ARGS]...",
    suggest_commands=False,
)
for _name, _command in labels.COMMANDS.items():
    _add(_labels, _name, _command, None)
_labels.callback(help=_help_of(labels.overview))(labels.overview)
app.add_typer(_labels, name="labels", rich_help_panel="Photos of your own")
_labs = typer.Typer(
    cls=labs.LabsGroup,
    subcommand_metavar="DIR | check NOTEBOOK | collect DIR",
    suggest_commands=False,
)
for _name, _command in _LABS.items():
    _add(_labs, _name, _command, None)
app.add_typer(
    _labs,
    name="labs",
    help="Write the notebooks of the labs, or grade them: labs DIR, labs check NOTEBOOK, labs "
    "collect DIR.",
    rich_help_panel="Teach and learn",
)


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"lamplighter {__version__}")
        raise typer.Exit


@app.callback()
def root(
    context: typer.Context,
    version: Annotated[
        bool,
        typer.Option(
            "--version",
            metavar="",
            callback=_print_version,
            is_eager=True,
            help="Print the version.",
        ),
    ] = False,
) -> None:
    """Image classification that runs on your own computer."""
    if context.invoked_subcommand is None:
        typer.echo(context.get_help())


def main() -> NoReturn:
    """Run the command line; ends with 0, with 2 for bad use, or with 1 and one line on stderr."""
    _open_missing_streams()
    warnings.simplefilter("always", LamplighterWarning)
    warnings.showwarning = _show_warning
    gc.set_threshold(*_COLLECT_AFTER)
    # As it ends, Python would look for garbage among all that torch made: more than a second.
    atexit.register(gc.freeze)
    try:
        code = app(prog_name="lamplighter", standalone_mode=False)
        sys.stdout.flush()
    except _UsageError as error:
        _end(_bad_use(error), 2)
    except LamplighterError as error:
        _end(f"lamplighter: {error}")
    except Exception as error:
        if _is_interrupted(error):
            raise KeyboardInterrupt from error
        if os.environ.get("LAMPLIGHTER_TRACEBACK"):
            raise
        _end(_unexpected(error))
    if code == _INTERRUPTED:
        raise KeyboardInterrupt
    raise SystemExit(code or 0)


def _show_warning(
    message: Warning | str,
    category: type[Warning],
    filename: str,
    lineno: int,
    file: object = None,
    line: str | None = None,
) -> None:
    """Write a warning of Lamplighter's own as one line on stderr, and any other as Python does."""
    if issubclass(category, LamplighterWarning):
        sys.stderr.write(printable(f"lamplighter: {' '.join(str(message).split())}") + "\n")
    else:
        sys.stderr.write(warnings.formatwarning(message, category, filename, lineno, line))


def _open_missing_streams() -> None:
    """Lead streams that the caller closed (`2>&-`) nowhere.

    Python has None for them; and a file opened later would take their numbers, to which the
    libraries write. The order gives each its own.
    """
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            setattr(sys, name, Path(os.devnull).open(mode, encoding="utf-8"))  # noqa: SIM115


def _is_interrupted(error: BaseException | None) -> bool:
    """Return whether Ctrl-C led to `error`, as it does where native code is being imported."""
    while error is not None and not isinstance(error, KeyboardInterrupt):
        error = error.__cause__ or error.__context__
    return error is not None


def _bad_use(error: Any) -> str:
    command = "lamplighter"
    if error.ctx is not None:
        command = re.sub(r" \{\w+\}", "", error.ctx.command_path)  # the arguments of a group
    elif sys.argv[1:2] and any(sys.argv[1] in names for names in _COMMANDS.values()):
        command += f" {sys.argv[1]}"
    message = told(error).replace("Value error, ", "").strip()
    stop = "" if message.endswith((".", "?")) else "."
    return f"{command}: {message}{stop} See {command} --help."


def _unexpected(error: Exception) -> str:
    first = (str(error).strip() or "no message").splitlines()[0]
    if isinstance(error, OSError):  # a full disk, a file that may not be read
        _drop_output()
        return (
            f"lamplighter: operating system error: {first}; check the free disk "
            "space and the permissions of the files and folders."
        )
    return (
        f"lamplighter: internal error: {type(error).__name__}: {first} Please report it, with "
        "the traceback that LAMPLIGHTER_TRACEBACK=1 prints."
    )


def _drop_output() -> None:
    """Send what is left for stdout nowhere; Python would try it once more at its end."""
    stdout = sys.__stdout__
    if stdout is not None and sys.stdout is stdout:
        os.dup2(os.open(os.devnull, os.O_WRONLY), stdout.fileno())


def _end(message: str, code: int = 1) -> NoReturn:
    sys.stderr.write(printable(" ".join(message.split())) + "\n")
    raise SystemExit(code)
