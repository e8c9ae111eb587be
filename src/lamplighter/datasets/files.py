"""Image files with their labels, splits and groups: a data set before its pixels are read."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from lamplighter.errors import DatasetError, UnknownSplitError
from lamplighter.names import suggestion

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    Progress = Callable[[int, int], None]  # told how many files are done, and of how many


@dataclass(frozen=True)
class SetAside:
    """A file that is left out.

    Attributes:
        path: the file, relative to the root of its data set.
        reason: why, and how to mend it, on one line.
    """

    path: str
    reason: str


def named(left_out: Sequence[SetAside], most: int) -> list[str]:
    """Return a line for each file that is left out; of more than `most` the first, and how many.

    Args:
        left_out: the files.
        most: how many are named one by one.
    """
    lines = [f"set aside {file.path}: {file.reason}" for file in left_out[:most]]
    if len(left_out) > most:
        lines.append(
            f"and {len(left_out) - most:,} more are set aside; `lamplighter audit --json` names "
            "them all."
        )
    return lines


@dataclass(frozen=True, eq=False, kw_only=True)
class ImageFiles:
    """N image files of a data set; what is in them has not been looked at.

    Attributes:
        name: what the data set is called in reports.
        root: the folder that paths are relative to.
        paths: N paths, relative to the root, with "/" between folders.
        labels: class indices, int64, shape (N,); -1 for a file without a label.
        class_names: K names, one for each class index.
        splits: for each file "train", "val", "test" or "test-..."; "" where none is given yet.
        groups: for each file what it belongs to; files of one group never stand on both sides
            of a split. "" for a file on its own.
        set_aside: files that were found and left out.
        notes: what to know of how the files were found and split, one line each.

    Raises:
        DatasetError: lengths do not fit one another, names repeat, or a label has no name.
    """

    name: str
    root: Path
    paths: tuple[str, ...]
    labels: NDArray[np.int64]
    class_names: tuple[str, ...]
    splits: tuple[str, ...]
    groups: tuple[str, ...]
    set_aside: tuple[SetAside, ...] = ()
    notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        count = len(self.paths)
        if not self.labels.shape == (count,) or {len(self.splits), len(self.groups)} != {count}:
            raise DatasetError(
                f"{count} files need as many labels, splits and groups, received "
                f"{len(self.labels)}, {len(self.splits)} and {len(self.groups)}."
            )
        if len(set(self.class_names)) != len(self.class_names):
            raise DatasetError(f"class names must differ, received {list(self.class_names)}.")
        if count and not -1 <= self.labels.min() <= self.labels.max() < len(self.class_names):
            raise DatasetError(
                f"labels must be in -1..{len(self.class_names) - 1}, received "
                f"{self.labels.min()}..{self.labels.max()}."
            )

    def __len__(self) -> int:
        return len(self.paths)

    def __repr__(self) -> str:
        sizes = ", ".join(
            f"{name or 'no split'}: {self.splits.count(name):,}"
            for name in sorted(set(self.splits))
        )
        return f"ImageFiles({self.name}, {sizes}, {len(self.class_names)} classes)"

    @property
    def files(self) -> list[Path]:
        """The full path of each file."""
        return [self.root / path for path in self.paths]

    @property
    def split_names(self) -> tuple[str, ...]:
        """The splits that have files: train, val and test first; "" is not among them."""
        order = ["train", "val", "test"]
        present = sorted(set(self.splits) - {""})
        others = (name for name in present if name not in order)
        return (*(name for name in order if name in present), *others)

    def classes_present(self) -> tuple[str, ...]:
        """Return the classes that have a file, in their order."""
        return tuple(self.class_names[label] for label in np.unique(self.labels[self.labels >= 0]))

    def rows_of(self, split: str) -> list[int]:
        """Return where the files of a split stand, in their order."""
        return [row for row, name in enumerate(self.splits) if name == split]

    def take(self, indices: Sequence[int] | NDArray[np.int64]) -> ImageFiles:
        """Return the files at `indices`, in their order; what was set aside stays with them."""
        chosen = [int(index) for index in indices]
        return replace(
            self,
            paths=tuple(self.paths[index] for index in chosen),
            labels=self.labels[np.array(chosen, dtype=np.int64)],
            splits=tuple(self.splits[index] for index in chosen),
            groups=tuple(self.groups[index] for index in chosen),
        )

    def split(self, name: str) -> ImageFiles:
        """Return the files of one split.

        Raises:
            UnknownSplitError: there is no file of that split.
        """
        chosen = [index for index, split in enumerate(self.splits) if split == name]
        if not chosen:
            told = suggestion(name, self.split_names, opening="it has")
            raise UnknownSplitError(f"{self.name} has no split {name!r}; {told}")
        return self.take(chosen)

    def as_split(self, name: str) -> ImageFiles:
        """Return the same files, all of them in the split `name`."""
        return replace(self, splits=(name,) * len(self))

    def setting_aside(self, reasons: Mapping[str, str]) -> ImageFiles:
        """Return the files without those that `reasons` names, which are noted as set aside."""
        kept = self.take([i for i, path in enumerate(self.paths) if path not in reasons])
        left_out = (SetAside(path, reason) for path, reason in reasons.items())
        return replace(kept, set_aside=(*self.set_aside, *left_out))
