"""The files below a folder, told apart by their names alone."""

from __future__ import annotations

import errno
import os
from collections import deque
from typing import TYPE_CHECKING, NamedTuple

from lamplighter.datasets.files import SetAside
from lamplighter.errors import DatasetError, MissingDatasetError
from lamplighter.files.naming import IMAGE_SUFFIXES, is_litter, shown
from lamplighter.images.formats import NO_IMAGE_REASON, reason_by_name
from lamplighter.names import near_names, near_paths, no_such_path

if TYPE_CHECKING:
    from pathlib import Path

# What `lamplighter data` writes beside its pictures: whose they are.
ATTRIBUTION = "ATTRIBUTION.txt"
_DATA_SETS = ("mnist", "emoji", "digits", "boats")  # what `lamplighter data` lists


class Walked(NamedTuple):
    """What lies below a folder, sorted; paths are relative to it.

    Attributes:
        paths: the images.
        others: what is no image, with the reason.
        empty: the folders in which nothing is.
    """

    paths: list[str]
    others: list[SetAside]
    empty: list[str]


def walk(root: Path, *, deepest: int | None = None) -> Walked:
    """Return what lies below `root`.

    Symbolic links are followed, to each real folder once.

    Args:
        root: the folder; the paths are relative to it, with "/" between folders.
        deepest: how many folders down to look; by default as far as they go.

    Raises:
        DatasetError: there is no such folder, or it may not be read.
    """
    paths: list[str] = []
    empty: list[str] = []
    set_aside: list[SetAside] = []
    # A link to a folder above the root would lead down to the root again.
    above = [parent for parent in root.resolve().parents if parent.exists()]
    seen = {_place(parent): str(parent) for parent in above}
    folders, links = deque([""]), deque[str]()
    while folders or links:  # real folders first, so that a link never takes their place
        folder = folders.popleft() if folders else links.popleft()
        try:
            place = _place(root / folder)
            if place in seen:
                set_aside.append(SetAside(folder, _twice(seen[place])))
                continue
            seen[place] = folder or "."
            with os.scandir(root / folder) as entries:
                found = sorted(entries, key=lambda entry: entry.name)
        except OSError as error:
            if not folder:
                raise _unreadable_root(root, error) from error
            set_aside.append(SetAside(folder, _unreadable(error)))
            continue
        found = [entry for entry in found if not is_litter(entry.name)]
        if folder and not found:
            empty.append(folder)
        for entry in found:
            path = f"{folder}/{entry.name}" if folder else entry.name
            if path == ATTRIBUTION:
                continue
            kind = _kind(entry)
            if kind == "folder":
                if deepest is not None and path.count("/") >= deepest:
                    continue
                (links if entry.is_symlink() else folders).append(path)
            elif kind == "image":
                paths.append(path)
            else:
                set_aside.append(SetAside(path, kind))
    others = sorted(set_aside, key=lambda left_out: left_out.path)
    return Walked(sorted(paths), others, sorted(empty))


def _place(folder: Path) -> tuple[int, int]:
    """Return what tells a real folder from all others, whatever it is called."""
    status = folder.stat()
    return status.st_dev, status.st_ino


def _kind(entry: os.DirEntry[str]) -> str:
    """Return "folder", "image", or why `entry` is neither, judging by all but its content."""
    try:
        if entry.is_dir():
            return "folder"
        if os.path.splitext(entry.name)[1].lower() not in IMAGE_SUFFIXES:  # noqa: PTH122 - a name
            return reason_by_name(entry.name) or NO_IMAGE_REASON
        if entry.is_file():
            return "image"
    except OSError as error:
        if error.errno != errno.ELOOP:
            return _unreadable(error)
    if entry.is_symlink():
        return "a link to nothing, or to itself; mend or remove it."
    return "not a regular file; copy the image into one."


def _twice(other: str) -> str:
    return (
        f"a link to {shown(other)}, a folder that is read already or that holds this one; "
        "none is read twice."
    )


def _unreadable_root(root: Path, error: OSError) -> DatasetError:
    if isinstance(error, FileNotFoundError):
        return MissingDatasetError(_no_folder(root))
    if isinstance(error, NotADirectoryError):
        return DatasetError(
            f"{shown(root)} must be a folder of images, a zip file of them or a CSV file of paths "
            "and labels, received another file; name its folder."
        )
    return DatasetError(f"the folder {shown(root)}: {_unreadable(error)}")


def _no_folder(root: Path) -> str:
    meant = near_names(root.name, _DATA_SETS, most=1)
    if near_paths(root) or not meant:
        return no_such_path("folder", root)
    use = "lamplighter train mnist" if meant == ["mnist"] else f"lamplighter data {meant[0]} DIR"
    return f"there is no folder {shown(root)}; for the data set {meant[0]}: {use}."


def _unreadable(error: OSError) -> str:
    if isinstance(error, PermissionError):
        return "may not be read; change its permissions."
    return f"cannot be read ({error.strerror or error}); check the name and the disk."
