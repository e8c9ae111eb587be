"""Files that a command is to write: nothing of the user's is replaced unasked."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lamplighter.errors import OutputError

if TYPE_CHECKING:
    from pathlib import Path


def check_new(path: Path, option: str, *, force: bool) -> None:
    """Refuse a file that cannot be written, or is there already and not to be replaced.

    Raises:
        OutputError: the message names the option that it was given to.
    """
    from lamplighter.files.writing import check_target

    check_target(path)
    _check_absent(path, option, force=force)


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
            f"{path} is there already: choose another {option}, or replace it with --force."
        )
