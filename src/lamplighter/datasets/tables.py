"""CSV files among images that no folder gives a class, as Kaggle and Hugging Face have them."""

from __future__ import annotations

import os
import re
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

from lamplighter.datasets.layout import Layout
from lamplighter.datasets.manifest import read_manifest
from lamplighter.errors import DatasetError
from lamplighter.files.naming import TABLE_SUFFIXES, shown
from lamplighter.text import listed

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from lamplighter.datasets.files import ImageFiles


@dataclass(frozen=True)
class Labelled:
    """What tables say of N images.

    Attributes:
        layout: splits and classes, with notes of where they are from.
        groups: for each image what it belongs to, "" where no table says it.
        tables: the tables that were read, relative to the root.
    """

    layout: Layout
    groups: tuple[str, ...]
    tables: frozenset[str]


def labelled_by_tables(
    layout: Layout, root: Path, *, paths: Sequence[str], others: Iterable[str]
) -> Labelled:
    """Return `layout` with the labels, splits and groups of the tables among its images.

    Args:
        layout: of images none of which has a class.
        root: the folder of all.
        paths: of the images, relative to the root.
        others: the paths of all other files, some of which may be tables.

    Raises:
        DatasetError: two tables give an image two labels.
    """
    reader = _Reader(layout, root, paths)
    for table in filter(_is_table, others):
        reader.read(table)
    if not reader.sources:
        learned = [
            path for path, split in zip(paths, layout.splits, strict=True) if split in ("train", "")
        ]
        reader.notes += _named_classes(learned)
    found = Layout(tuple(reader.splits), tuple(reader.classes), tuple(dict.fromkeys(reader.notes)))
    return Labelled(found, tuple(reader.groups), frozenset(reader.sources.values()))


class _Reader:
    """Takes from one table after the other what it says of the images."""

    def __init__(self, layout: Layout, root: Path, paths: Sequence[str]) -> None:
        self._root = root
        self._places = {path: number for number, path in enumerate(paths)}
        self.splits, self.classes = list(layout.splits), list(layout.classes)
        self.groups, self.notes = [""] * len(paths), list(layout.notes)
        self.sources: dict[int, str] = {}  # by image the table that its label is from

    def read(self, table: str) -> None:
        try:
            listed = read_manifest(self._root / table)
        except DatasetError as error:
            self.notes.append(f"no labels are taken from {shown(table)}: {error}")
            return
        for index, file in enumerate(listed.files):
            path = os.path.relpath(file, self._root).replace(os.sep, "/")
            if path in self._places and listed.labels[index] >= 0:
                self._take(self._places[path], listed, index, table)
        if table in self.sources.values():
            self.notes += [f"understood: labels are read from {shown(table)}.", *listed.notes]

    def _take(self, image: int, listed: ImageFiles, index: int, table: str) -> None:
        known, name = self.classes[image], listed.class_names[listed.labels[index]]
        if known not in ("", name):
            raise DatasetError(
                f"{shown(listed.files[index])} must have one label, received {known!r} in "
                f"{shown(self.sources[image])} and {name!r} in {shown(table)}; name the right CSV "
                "file in place of the folder."
            )
        self.classes[image], self.sources[image] = name, table
        self.splits[image] = listed.splits[index] or self.splits[image]
        self.groups[image] = listed.groups[index] or self.groups[image]


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
    counts = [f"{shown(word)} ({count:,})" for word, count in sorted(words.items())]
    return [
        f"no image has a label, but names begin with {listed(counts, 3)}; if these are the "
        "classes, make a folder of each, or a CSV file with the columns path and label."
    ]
