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
    from lamplighter.saving.writing import check_target

    check_target(path)
    if path.exists() and not force:
        raise OutputError(
            f"{path} is there already: choose another {option}, or replace it with --force."
        )
