"""Image files found in folders: a folder for each class, with or without splits above them."""

from __future__ import annotations

import errno
import os
from collections import deque
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from lamplighter.data.files import NO_IMAGE_REASON, ImageFiles, SetAside
from lamplighter.data.manifest import read_manifest
from lamplighter.data.naming import (
    IMAGE_SUFFIXES,
    clean_name,
    group_finder,
    group_notes,
    is_litter,
    shown,
    split_name,
)
from lamplighter.errors import DatasetError
from lamplighter.names import near_names, near_paths, no_such_path

if TYPE_CHECKING:
    from collections.abc import Sequence

_DATA_SETS = ("mnist", "emoji", "digits", "boats")  # what `lamplighter data` lists
# What `lamplighter data` writes beside its pictures: whose they are.
_ATTRIBUTION = "ATTRIBUTION.txt"


def find_files(path: str | Path, *, group: str | None = None) -> ImageFiles:
    """Return the image files of a folder (`scan_folder`) or of a CSV file (`read_manifest`).

    Raises:
        DatasetError: there is no such folder or file, or no image in it.
    """
    path = Path(path)
    if path.suffix.lower() in (".csv", ".tsv") and not path.is_dir():
        return read_manifest(path, group=group)
    return scan_folder(path, group=group)


def scan_folder(root: str | Path, *, group: str | None = None) -> ImageFiles:
    """Return the image files below the folder `root`; their pixels are not looked at.

    A folder is a class, and so is whatever lies deeper in it. Where all folders that hold images
    are called train, val (valid, validation), test or test-NAME, in any case, they are splits,
    and the folders in them are classes. Images that lie outside a class folder have no label.
    Symbolic links are followed, to each real folder once.

    Args:
        root: the folder.
        group: a regular expression; files in whose names it finds the same (its first group,
            or all of it) belong together and are kept in one split.

    Raises:
        DatasetError: there is no such folder, it may not be read, there is no image in it, it
            has split folders beside others, or `group` is no regular expression.
    """
    root = Path(root)
    find_group = group_finder(group)
    paths, set_aside = _walk(root)
    if not paths:
        raise DatasetError(_no_image(root, set_aside))
    parts = [path.split("/") for path in paths]
    splits = _splits(root, parts)
    names = [_class_of(path, split) for path, split in zip(parts, splits, strict=True)]
    class_names = sorted(set(names) - {""})
    index = {name: number for number, name in enumerate(class_names)} | {"": -1}
    groups = tuple(find_group(path[-1]) for path in parts)
    return ImageFiles(
        name=clean_name(root.resolve().name) or "images",
        root=root,
        paths=tuple(paths),
        labels=np.array([index[name] for name in names], dtype=np.int64),
        class_names=tuple(class_names),
        splits=splits,
        groups=groups,
        set_aside=tuple(set_aside),
        notes=group_notes(groups, group),
    )


def _class_of(path: Sequence[str], split: str) -> str:
    """Return the name of the class that `path` lies in, "" where it lies in none."""
    folders = path[1 if split else 0 : -1]
    return clean_name(folders[0]) if folders else ""


def _walk(root: Path) -> tuple[list[str], list[SetAside]]:
    """Return the paths of the images below `root`, sorted, and what is no image."""
    paths: list[str] = []
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
                raise DatasetError(_unreadable_root(root, error)) from error
            set_aside.append(SetAside(folder, _unreadable(error)))
            continue
        for entry in found:
            if is_litter(entry.name):
                continue
            path = f"{folder}/{entry.name}" if folder else entry.name
            if path == _ATTRIBUTION:
                continue
            kind = _kind(entry)
            if kind == "folder":
                (links if entry.is_symlink() else folders).append(path)
            elif kind == "image":
                paths.append(path)
            else:
                set_aside.append(SetAside(path, kind))
    return sorted(paths), sorted(set_aside, key=lambda left_out: left_out.path)


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
            return NO_IMAGE_REASON
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


def _splits(root: Path, parts: Sequence[Sequence[str]]) -> tuple[str, ...]:
    """Return the split of each path: "" for all where the top folders are not splits."""
    top = sorted({path[0] for path in parts if len(path) > 1})
    named = {folder: split_name(folder) for folder in top}
    if top and all(named.values()):
        return tuple(named.get(path[0], "") if len(path) > 1 else "" for path in parts)
    if "train" in named.values() and len(set(named.values()) - {""}) > 1:
        others = [folder for folder, name in named.items() if not name]
        raise DatasetError(
            f"{shown(root)} has folders of splits ({_few([f for f in top if named[f]])}) beside "
            f"others ({_few(others)}); move the others elsewhere, or name a further test split "
            "test-NAME."
        )
    return ("",) * len(parts)


def _no_image(root: Path, set_aside: Sequence[SetAside]) -> str:
    message = f"{shown(root)} must hold images, received a folder without any"
    if set_aside:
        first = set_aside[0]
        others = f", and {len(set_aside) - 1:,} more" if len(set_aside) > 1 else ""
        message += f" ({shown(first.path)}: {first.reason.rstrip('.')}{others})"
    return f"{message}; name the folder that the folders of the classes are in."


def _unreadable_root(root: Path, error: OSError) -> str:
    if isinstance(error, FileNotFoundError):
        return _no_folder(root)
    if isinstance(error, NotADirectoryError):
        return (
            f"{shown(root)} must be a folder of images or a CSV file of paths and labels, "
            "received another file; name its folder."
        )
    return f"the folder {shown(root)}: {_unreadable(error)}"


def _no_folder(root: Path) -> str:
    meant = near_names(root.name, _DATA_SETS, most=1)
    if near_paths(root) or not meant:
        return no_such_path("folder", root)
    use = "lamplighter train mnist" if meant == ["mnist"] else f"lamplighter data {meant[0]} DIR"
    return f"there is no folder {shown(root)}; the data set {meant[0]} comes by: {use}."


def _unreadable(error: OSError) -> str:
    if isinstance(error, PermissionError):
        return "may not be read; change its permissions."
    return f"cannot be read ({error.strerror or error}); check the name and the disk."


def _few(names: Sequence[str]) -> str:
    more = f" and {len(names) - 5} more" if len(names) > 5 else ""
    return ", ".join(shown(name) for name in names[:5]) + more
