"""Files that commands write: new ones, and figures."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import typer

from lamplighter.cli.terminal import printable
from lamplighter.errors import OutputError

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from PIL import Image


def check_new(path: Path, option: str, *, force: bool) -> None:
    """Refuse a file that cannot be written, or that exists and may not be overwritten.

    Raises:
        OutputError: the message names the option that it was given to.
    """
    from lamplighter.files.writing import check_target

    check_target(path)
    _check_absent(path, option, force=force)


def check_new_package(path: Path, option: str, *, force: bool) -> None:
    """Refuse a Core ML package (a folder) that cannot be written, or may not be overwritten.

    Raises:
        OutputError: the message names the option that it was given to.
    """
    from lamplighter.files.writing import check_package_target

    _check_absent(path, option, force=force)
    check_package_target(path)


def check_new_bundle(path: Path, option: str, *, force: bool) -> None:
    """Refuse a bundle that cannot be written so, before what is to be in it has been learned.

    Raises:
        OutputError: as `check_new`, or its name is that of a model of another kind.
    """
    from lamplighter.files.writing import check_bundle_target

    check_bundle_target(path)
    _check_absent(path, option, force=force)


def _check_absent(path: Path, option: str, *, force: bool) -> None:
    if path.exists() and not force:
        raise OutputError(
            f"{path} already exists: choose another {option}, or overwrite it with --force."
        )


_FORMATS = (".png", ".pdf", ".svg")


def check_figure(path: Path, option: str, *, force: bool) -> None:
    """Refuse a file that is no PNG, PDF or SVG by name, or is there and not to be replaced.

    Raises:
        OutputError: the message names the option that it was given to.
    """
    _check_ending(path, option, _FORMATS)
    check_new(path, option, force=force)


def check_picture(path: Path, option: str, *, force: bool) -> None:
    """Refuse a file that is no PNG by name, or is there and not to be replaced.

    Raises:
        OutputError: the message names the option that it was given to.
    """
    _check_ending(path, option, (".png",))
    check_new(path, option, force=force)


def _check_ending(path: Path, option: str, endings: tuple[str, ...]) -> None:
    if path.suffix.lower() not in endings:
        *others, last = endings
        known = f"{', '.join(others)} or {last}" if others else last
        raise OutputError(f"{option} must be a file ending in {known}, received {path}.")


def save_picture(picture: Image.Image, path: Path) -> None:
    """Write a picture as PNG.

    Raises:
        OutputError: it cannot be written.
    """
    from lamplighter.files.writing import written_whole

    with written_whole(path) as file:
        picture.save(file, format="png")


def save_figure(figure: Figure, path: Path) -> None:
    """Write a figure in the format that the name of the file tells.

    Raises:
        OutputError: it cannot be written.
    """
    from lamplighter.files.writing import written_whole

    with written_whole(path) as file:
        figure.savefig(file, format=path.suffix[1:].lower())


def write_figure(figure: Figure, path: Path) -> None:
    """Write a figure in the format that the name of the file tells, and say so.

    Raises:
        OutputError: it cannot be written.
    """
    save_figure(figure, path)
    typer.echo(printable(f"wrote {path}"))


def beside(bundle: Path, ending: str) -> Path:
    """Return NAME-ending.png beside the bundle NAME.lamp; here for a pretrained network."""
    named = bundle.suffix.lower() == ".lamp" or bundle.exists()
    name = bundle.stem if named else bundle.name
    return bundle.with_name(f"{name}-{ending.replace('/', '_')}.png")
