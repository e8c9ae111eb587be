"""Image files found in folders: a folder for each class, with or without splits above them."""

from __future__ import annotations

import os
import re
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from lamplighter.data.files import ImageFiles, SetAside
from lamplighter.data.layout import Layout, understand, unlabelled_notes
from lamplighter.data.manifest import read_manifest
from lamplighter.data.naming import clean_name, group_finder, group_notes, shown
from lamplighter.data.walking import walk
from lamplighter.data.zipped_images import TABLE_SUFFIXES, is_zip, left_in, unpack_images
from lamplighter.errors import DatasetError

if TYPE_CHECKING:
    from collections.abc import Sequence


def find_files(path: str | Path, *, group: str | None = None) -> ImageFiles:
    """Return the image files of a folder, of a zip file, or of a CSV file that lists them.

    A folder is read as `scan_folder` says, a CSV file as `read_manifest` says. Of a zip file the
    images are unpacked into the user's cache, once, and the folder there is read.

    Args:
        path: the folder or file.
        group: as in `scan_folder`.

    Raises:
        DatasetError: there is no such folder or file, or no image in it, or what it holds can be
            read in two ways.
        OutputError: a zip file cannot be unpacked.
    """
    path = Path(path)
    if path.suffix.lower() in TABLE_SUFFIXES and not path.is_dir():
        return read_manifest(path, group=group)
    if not is_zip(path):
        return scan_folder(path, group=group)
    files = scan_folder(unpack_images(path), group=group)
    return replace(
        files,
        name=clean_name(path.stem),
        set_aside=(*files.set_aside, *left_in(path)),
        notes=(f"understood: {shown(path.name)} is unpacked in {shown(files.root)}.", *files.notes),
    )


def scan_folder(root: str | Path, *, group: str | None = None) -> ImageFiles:
    """Return the image files below the folder `root`; their pixels are not looked at.

    A folder is a class, and so is whatever lies deeper in it. Where all folders that hold images
    are called like splits (train, val, test or test-NAME, or as others write these: Training,
    seg_train, valid, test_set), they are splits, and the folders in them are classes; the splits
    may lie in the folders of the classes as well. Folders around all the others are passed over.
    Images that lie outside a class folder have no label. `notes` say what was understood.
    Symbolic links are followed, to each real folder once.

    Args:
        root: the folder.
        group: a regular expression; files in whose names it finds the same (its first group,
            or all of it) belong together and are kept in one split.

    Raises:
        DatasetError: there is no such folder, it may not be read, there is no image in it, its
            folders look like splits and like classes, or `group` is no regular expression.
    """
    root = Path(root)
    find_group = group_finder(group)
    paths, set_aside = walk(root)
    if not paths:
        raise DatasetError(_no_image(root, set_aside))
    parts = [path.split("/") for path in paths]
    layout = understand(parts, str(root))
    groups = [find_group(path[-1]) for path in parts]
    if not any(layout.classes):
        layout = _labelled_by_tables(layout, root, paths, set_aside, groups)
    class_names = sorted(set(layout.classes) - {""})
    index = {name: number for number, name in enumerate(class_names)} | {"": -1}
    return ImageFiles(
        name=clean_name(root.resolve().name) or "images",
        root=root,
        paths=tuple(paths),
        labels=np.array([index[name] for name in layout.classes], dtype=np.int64),
        class_names=tuple(class_names),
        splits=layout.splits,
        groups=tuple(groups),
        set_aside=tuple(set_aside),
        notes=(
            *layout.notes,
            *unlabelled_notes(layout.splits, layout.classes),
            *group_notes(groups, group),
        ),
    )


def _labelled_by_tables(
    layout: Layout,
    root: Path,
    paths: Sequence[str],
    set_aside: list[SetAside],
    groups: list[str],
) -> Layout:
    """Return `layout` with the labels of CSV files among the images, where no folder is a class.

    What they say of groups goes to `groups`, and those that were read leave `set_aside`.
    """
    places = {path: number for number, path in enumerate(paths)}
    splits, classes, notes = list(layout.splits), [""] * len(paths), list(layout.notes)
    sources: dict[str, str] = {}
    for table in [left.path for left in set_aside if _is_table(left.path)]:
        try:
            listed = read_manifest(root / table)
        except DatasetError as error:
            notes.append(f"no labels are taken from {shown(table)}: {error}")
            continue
        for file, label, split, group in zip(
            listed.files, listed.labels, listed.splits, listed.groups, strict=True
        ):
            path = os.path.relpath(file, root).replace(os.sep, "/")
            if path not in places or label < 0:
                continue
            number, name = places[path], listed.class_names[label]
            if classes[number] not in ("", name):
                raise DatasetError(
                    f"{shown(root / path)} must have one label, received {classes[number]!r} in "
                    f"{shown(sources[path])} and {name!r} in {shown(table)}; name the right CSV "
                    "file in place of the folder."
                )
            classes[number], sources[path] = name, table
            splits[number] = split or splits[number]
            groups[number] = group or groups[number]
        if table in sources.values():
            notes += [f"understood: labels are read from {shown(table)}.", *listed.notes]
    set_aside[:] = [left for left in set_aside if left.path not in sources.values()]
    if not sources:
        notes += _named_classes(
            [p for p, s in zip(paths, splits, strict=True) if s in ("train", "")]
        )
    return Layout(tuple(splits), tuple(classes), tuple(dict.fromkeys(notes)))


def _is_table(path: str) -> bool:
    # A contest's sample of an answer has labels that mean nothing.
    name = path.rpartition("/")[2].lower()
    return name.endswith(tuple(TABLE_SUFFIXES)) and "submission" not in name


def _named_classes(paths: Sequence[str]) -> list[str]:
    """Return a note where no image has a label, and their names may say it, as cat.1.jpg."""
    words = Counter(
        match[0] if (match := re.match(r"[^\W\d_]+(?=[-_. (]*\d)", path.rpartition("/")[2])) else ""
        for path in paths
    )
    if "" in words or not 2 <= len(words) <= 100 or min(words.values()) < 2:
        return []
    few = [f"{shown(word)} ({count:,})" for word, count in sorted(words.items())[:3]]
    more = f" and {len(words) - 3} more" if len(words) > 3 else ""
    return [
        f"no image has a label, but names begin with {', '.join(few)}{more}; if these are the "
        "classes, make a folder of each, or a CSV file with the columns path and label."
    ]


def _no_image(root: Path, set_aside: Sequence[SetAside]) -> str:
    message = f"{shown(root)} must hold images, received a folder without any"
    if set_aside:
        first = set_aside[0]
        others = f", and {len(set_aside) - 1:,} more" if len(set_aside) > 1 else ""
        message += f" ({shown(first.path)}: {first.reason.rstrip('.')}{others})"
    return f"{message}; name the folder that the folders of the classes are in."
