"""Folders that are written whole or not at all."""

from __future__ import annotations

import contextlib
import os
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

from lamplighter.errors import LamplighterError, OutputError
from lamplighter.files.naming import shown

if TYPE_CHECKING:
    from collections.abc import Iterator

# A folder with this file in it is ours, and may be removed when a run was killed.
_MARK = "lamplighter-partial"


@contextlib.contextmanager
def new_folder(path: str | Path) -> Iterator[Path]:
    """Give an empty folder to write to, which takes the place of `path` when all is written.

    It lies beside `path` until then, and is removed on any failure; after a kill, the next run
    with the same `path` removes it.

    Raises:
        OutputError: `path` is there and is not an empty folder, the folder above it is missing
            or not writable, or the disk is full.
    """
    target = check_new_folder(path)
    work = partial_folder(target)
    try:
        try:
            own_folder(work)
            content = work / "content"
            content.mkdir()
            yield content
            if target.exists():
                target.rmdir()  # it is empty
            content.replace(target)
        except LamplighterError:
            raise
        except OSError as error:
            raise OutputError(
                f"{shown(path)} cannot be written: {error.strerror or error}; free some space, or "
                "choose a folder that you may write to."
            ) from error
    finally:
        if (work / _MARK).exists():
            shutil.rmtree(work, ignore_errors=True)


def partial_folder(target: Path) -> Path:
    """Return where `new_folder` keeps what is to become the folder `target`."""
    return target.with_name(f".{target.name[:40]}.partial")


def check_new_folder(path: str | Path) -> Path:
    """Return the folder that `path` means, following links; refuse one with anything in it.

    Raises:
        OutputError: `path` is there and is not an empty folder, or the folder above is missing.
    """
    try:
        target = Path(os.path.realpath(path))
        taken = any(target.iterdir()) if target.is_dir() else target.exists()
        parent_exists = target.parent.is_dir()
    except (OSError, ValueError) as error:  # a name too long, a folder that may not be read
        raise OutputError(
            f"{shown(path)} cannot be written: {error}; choose another folder."
        ) from error
    if taken:
        raise OutputError(
            f"{shown(path)} must be a new or an empty folder, received one that is there and has "
            "content, or a file; choose another name."
        )
    if not parent_exists:
        raise OutputError(
            f"{shown(path)} cannot be written: there is no folder {shown(target.parent)}; "
            "make it first."
        )
    return target


def own_folder(path: Path, *, keep: bool = False) -> None:
    """Make `path` a folder of our own; what an earlier run left there goes, unless `keep`.

    Raises:
        OutputError: something else is there.
        OSError: it cannot be made.
    """
    if path.exists() and not (path / _MARK).is_file():
        raise OutputError(
            f"{shown(path)} is needed for work in progress, received one that already exists; "
            "rename or remove it."
        )
    if not keep:
        shutil.rmtree(path, ignore_errors=True)
    path.mkdir(exist_ok=True)
    (path / _MARK).touch()
