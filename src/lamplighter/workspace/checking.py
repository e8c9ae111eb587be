"""The journal against the folder: what vanished, changed, moved or is new, and notes on that."""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from typing import TYPE_CHECKING

from lamplighter.datasets.layout import unlabelled_notes
from lamplighter.files.naming import shown
from lamplighter.text import counted

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray

    from lamplighter.datasets.files import ImageFiles
    from lamplighter.workspace.following import Follower, Found
    from lamplighter.workspace.journal import Item


@dataclass(frozen=True)
class MarkedFile:
    """A file with what a person said of it.

    Attributes:
        path: where it was seen last, relative to the root.
        label: the class that it was given; "" for none, None where its folder decides.
        reason: why it was set aside; None where it was not.
    """

    path: str
    label: str | None = None
    reason: str | None = None


@dataclass(frozen=True)
class FolderCheck:
    """The journal against the folder.

    Attributes:
        vanished: files that were there and are nowhere; what was said of them is kept.
        changed: files in whose place there is another content; what was said of them is kept, and
            does not count.
        moved: the old and the new path of files that were found elsewhere by their content.
        new: files that were not there when the journal was begun, or last `accept`ed.
    """

    vanished: tuple[MarkedFile, ...]
    changed: tuple[MarkedFile, ...]
    moved: tuple[tuple[str, str], ...]
    new: tuple[str, ...]


def compare(
    items: Sequence[Item],
    found: Found,
    paths: Sequence[str],
    follower: Follower,
    moved: Mapping[str, str],
) -> FolderCheck:
    """Return how the journal and the folder differ.

    Args:
        items: all files that the journal knows.
        found: where those are that a person labelled or set aside.
        paths: the images in the folder.
        follower: knows the size of a file.
        moved: the old and the new path of files that moved.
    """
    there, here = set(paths), {item.id for item in found.at.values()}
    vanished = [item for item in found.missing if item.path not in there]
    changed = [item for item in found.missing if item.path in there]
    told = {item.path for item in found.missing} | set(found.at)
    last = {item.path: item for item in items if item.id not in here}
    for path, item in last.items():
        if path in told or item.label is not None or item.aside is not None:
            continue
        state = follower.state(path)
        if state is None:
            vanished.append(item)
        elif state.size != item.size:  # of a file that nobody labelled the content is not known
            changed.append(item)
    known = {item.path for item in items} | set(found.at)
    return FolderCheck(
        vanished=_marked(vanished),
        changed=_marked(changed),
        moved=tuple(sorted(moved.items())),
        new=tuple(path for path in paths if items and path not in known),
    )


def notes_on_labels(scanned: ImageFiles, labels: NDArray[np.int64]) -> list[str]:
    """Return the notes of a scan, where those on files without a label are for `labels`."""

    def on(labels: NDArray[np.int64]) -> list[str]:
        classes = ["" if label < 0 else "labelled" for label in labels.tolist()]
        return unlabelled_notes(scanned.splits, classes)

    outdated = on(scanned.labels)
    return [note for note in scanned.notes if note not in outdated] + on(labels)


def notes_on_journal(source: Path, found: Found, moved: Mapping[str, str]) -> list[str]:
    """Return what is to be known of the files of the journal, one line each.

    Args:
        source: what the files were read from.
        found: where those are that a person labelled or set aside.
        moved: the old and the new path of files that moved.
    """
    notes = []
    if moved:
        old, new = next(iter(moved.items()))
        notes.append(
            f"{counted(len(moved), 'file')} found again by content, such as {shown(old)}, which is "
            f"{shown(new)} now."
        )
    if found.missing:
        notes.append(
            f"{counted(len(found.missing), 'file')} of the journal vanished or changed, such as "
            f"{shown(found.missing[0].path)}; what was said of them does not count. See "
            f"lamplighter labels {shlex.quote(str(source))} check."
        )
    return notes


def _marked(items: Iterable[Item]) -> tuple[MarkedFile, ...]:
    return tuple(
        MarkedFile(item.path, item.label, item.aside)
        for item in sorted(items, key=lambda item: item.path)
    )
