"""Image files found in folders: a folder for each class, with or without splits above them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from lamplighter.datasets.files import ImageFiles, SetAside
from lamplighter.datasets.layout import understand, unlabelled_notes
from lamplighter.datasets.manifest import read_manifest
from lamplighter.datasets.recordings import recording_notes, recording_of
from lamplighter.datasets.tables import labelled_by_tables
from lamplighter.datasets.walking import walk
from lamplighter.datasets.zipped_images import is_zip, unpack_images
from lamplighter.errors import DatasetError
from lamplighter.files.naming import TABLE_SUFFIXES, clean_name, group_finder, group_notes, shown
from lamplighter.text import listed

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence


def find_files(
    path: str | Path,
    *,
    group: str | None = None,
    empty: bool = False,
    progress: Callable[[int, int | None], None] | None = None,
) -> ImageFiles:
    """Return the image files of a folder, of a zip file, or of a CSV file that lists them.

    A folder is read as `scan_folder` says, a CSV file as `read_manifest` says. Of a zip file the
    images are unpacked into the user's cache, once, and the folder there is read.

    Args:
        path: the folder or file.
        group: as in `scan_folder`.
        empty: as in `scan_folder`.
        progress: told how many bytes of a zip file are unpacked, and of how many.

    Raises:
        DatasetError: there is no such folder or file, or no image in it, or what it holds can be
            read in two ways.
        OutputError: a zip file cannot be unpacked.
    """
    path = Path(path)
    if path.suffix.lower() in TABLE_SUFFIXES and not path.is_dir():
        return read_manifest(path, group=group)
    if not is_zip(path):
        return scan_folder(path, group=group, empty=empty)
    unpacked = unpack_images(path, progress=progress)
    files = scan_folder(unpacked.folder, group=group)
    return replace(
        files,
        name=clean_name(path.stem),
        set_aside=(*files.set_aside, *unpacked.left_out),
        notes=(
            f"understood: {shown(path.name)} is unpacked in {unpacked.folder}.",
            *unpacked.notes,
            *files.notes,
        ),
    )


def scan_folder(root: str | Path, *, group: str | None = None, empty: bool = False) -> ImageFiles:
    """Return the image files below the folder `root`; their pixels are not looked at.

    A folder is a class, and so is whatever lies deeper in it. Where all folders that hold images
    are called like splits (train, val, test or test-NAME, or as others write these: Training,
    seg_train, valid, test_set), they are splits, and the folders in them are classes; the splits
    may lie in the folders of the classes as well. Folders around all the others are passed over.
    Images that lie outside a class folder have no label. `notes` say what was understood.
    Symbolic links are followed, to each real folder once. Without `group` the images of one
    recording, told by their names, belong together.

    Args:
        root: the folder.
        group: a regular expression; files in whose names it finds the same (its first group,
            or all of it) belong together and are kept in one split.
        empty: take a folder without any image, too: images may come later.

    Raises:
        DatasetError: there is no such folder, it may not be read, there is no image in it, its
            folders look like splits and like classes, or `group` is no regular expression.
    """
    root = Path(root)
    find_group = group_finder(group) if group is not None else recording_of
    paths, set_aside, empty_folders = walk(root)
    if not paths and not empty:
        raise DatasetError(_no_image(root, set_aside))
    parts = [path.split("/") for path in paths]
    layout = understand(parts, str(root))
    groups = tuple(find_group(path[-1]) for path in parts)
    if paths and not any(layout.classes):
        found = labelled_by_tables(
            layout, root, paths=paths, others=[left_out.path for left_out in set_aside]
        )
        layout = found.layout
        groups = tuple(given or own for given, own in zip(found.groups, groups, strict=True))
        set_aside = [left_out for left_out in set_aside if left_out.path not in found.tables]
    class_names = sorted(set(layout.classes) - {""})
    index = {name: number for number, name in enumerate(class_names)} | {"": -1}
    return ImageFiles(
        name=clean_name(root.resolve().name) or "images",
        root=root,
        paths=tuple(paths),
        labels=np.array([index[name] for name in layout.classes], dtype=np.int64),
        class_names=tuple(class_names),
        splits=layout.splits,
        groups=groups,
        set_aside=tuple(set_aside),
        notes=(
            *layout.notes,
            *unlabelled_notes(layout.splits, layout.classes),
            *(group_notes(groups, group) if group is not None else recording_notes(groups)),
            *_empty_notes(empty_folders),
        ),
    )


def _empty_notes(empty: Sequence[str]) -> list[str]:
    """Return a line on folders without any file: a class may have been meant."""
    if not empty:
        return []
    names = listed([shown(name) for name in empty], 5)
    one = len(empty) == 1
    what = "is an empty folder, and no class" if one else "are empty folders, and no classes"
    remedy = "put images into it, or remove it" if one else "put images into them, or remove them"
    return [f"{names} {what}; {remedy}."]


def _no_image(root: Path, set_aside: Sequence[SetAside]) -> str:
    message = f"{shown(root)} must hold images, received a folder without any"
    if set_aside:
        first = set_aside[0]
        others = f", and {len(set_aside) - 1:,} more" if len(set_aside) > 1 else ""
        message += f" ({shown(first.path)}: {first.reason.rstrip('.')}{others})"
    return f"{message}; name the folder that the folders of the classes are in."
