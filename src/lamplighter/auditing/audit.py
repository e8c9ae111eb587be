"""The audit of image files before training: all checks, and their result."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from lamplighter.auditing.duplicates import near_duplicates
from lamplighter.auditing.findings import (
    NO_SPLIT,
    Finding,
    bad_files,
    blank_images,
    class_balance,
    grey_images,
    image_quality,
    odd_sizes,
    similar_names,
    split_columns,
)
from lamplighter.auditing.leakage import (
    copies,
    groups_across_splits,
    merged_groups,
    scenes_in_names,
)
from lamplighter.auditing.thumbnails import (
    Look,
    LookCache,
    content_hash,
    file_state,
    look_at,
    pixels_hash,
)
from lamplighter.datasets.loading import each_file
from lamplighter.errors import ImageError
from lamplighter.files.naming import as_given
from lamplighter.images.decoding import reason_alone
from lamplighter.text import counted

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from lamplighter.datasets.files import ImageFiles, Progress

_BATCH = 512  # files between two visits to the cache: what a kill can cost
_ORDER = {"error": 0, "warning": 1, "note": 2}


@dataclass(frozen=True, eq=False, kw_only=True)
class Audit:
    """What an audit found; `print` shows it as lines of text.

    Attributes:
        files: the data set as it was given.
        usable: the same without the bad files, which are among its `set_aside`.
        looks: what was seen of each usable file, in their order.
        findings: what was found, errors first, then warnings and notes.
        near: groups of indices of usable files that are copies or near-copies.
    """

    files: ImageFiles
    usable: ImageFiles
    looks: tuple[Look, ...]
    findings: tuple[Finding, ...]
    near: tuple[tuple[int, ...], ...]

    @property
    def grouped(self) -> ImageFiles:
        """The usable files, near-copies in one group each, so that no split parts them."""
        return replace(self.usable, groups=merged_groups(self.usable, self.near))

    @property
    def counts(self) -> NDArray[np.int64]:
        """Usable images of each class in each split, shape (K, S); columns as `split_columns`."""
        return _counts(self.usable)

    def of(self, kind: str) -> tuple[Finding, ...]:
        """Return the findings of one kind, such as "leakage"."""
        return tuple(finding for finding in self.findings if finding.kind == kind)

    def balance(self) -> list[list[str]]:
        """Return the images of each class in each split as rows of text, a heading first."""
        columns = [split or NO_SPLIT for split in split_columns(self.usable)]
        rows = [["class", *columns]]
        for name, row in zip(self.usable.class_names, self.counts, strict=True):
            rows.append([name, *(f"{count:,}" for count in row)])
        if len(rows) > 2:
            rows.append(["all", *(f"{count:,}" for count in self.counts.sum(axis=0))])
        return rows

    def to_dict(self) -> dict[str, Any]:
        """Return the audit as plain JSON."""
        columns = [split or NO_SPLIT for split in split_columns(self.usable)]
        return {
            "name": self.files.name,
            "root": as_given(self.files.root),
            "files": len(self.files),
            "usable": len(self.usable),
            "splits": columns,
            "classes": {
                name: dict(zip(columns, row.tolist(), strict=True))
                for name, row in zip(self.usable.class_names, self.counts, strict=True)
            },
            "findings": [finding.to_dict() for finding in self.findings],
        }

    def headline(self) -> str:
        """Return how many images can be used, of how many classes, and what was found."""
        bad = len(self.files) - len(self.usable)
        parts = [counted(len(self.usable), "usable image")]
        if bad:
            parts[0] += f" of {len(self.files):,}"
        parts.append(counted(len(self.usable.class_names), "class", "classes"))
        parts += [
            f"{self.usable.splits.count(split):,} {split or NO_SPLIT}"
            for split in split_columns(self.usable)
        ]
        return f"{self.files.name}: {', '.join(parts)}"

    def __str__(self) -> str:
        found = [
            f"{finding.severity:<8} {finding.kind:<19} {finding.sentence}"
            for finding in self.findings
        ]
        return "\n".join([self.headline(), *(found or ["nothing found"])])


def audit(files: ImageFiles, *, progress: Progress | None = None, cache: bool = True) -> Audit:
    """Look at every file and return what is wrong with files, copies, splits and classes.

    Each file is read once, on as many threads as there are cores; nothing is changed or deleted.
    Bad files are named and left out of `usable`. Copies and near-copies: `near_duplicates` says
    what is found and what is not. Images that are blurred, dark, over-exposed, framed or next to
    empty: a finding's `details["scores"]` says how strongly, 0 to 1.

    Args:
        files: the data set.
        progress: told how many files have been looked at, and of how many.
        cache: keep the looks in the user's cache folder, by content, so that a second audit
            only reads the files.
    """
    looks, faults = _looked_at(files, progress, cache=cache)
    usable = files.setting_aside({path: reason for path, (_, reason) in faults.items()})
    seen = tuple(looks[path] for path in usable.paths)
    near = near_duplicates(seen)
    exact = _exact(usable, seen, near)
    findings = [
        *bad_files(files, faults),
        *copies(usable, exact, near),
        *groups_across_splits(usable),
        *scenes_in_names(usable),
        *blank_images(usable.paths, seen),
        *image_quality(usable.paths, seen),
        *grey_images(usable.paths, seen),
        *odd_sizes(usable.paths, seen),
        *class_balance(usable, _counts(usable)),
        *similar_names(usable.class_names),
    ]
    findings.sort(key=lambda finding: _ORDER[finding.severity])
    return Audit(
        files=files,
        usable=usable,
        looks=seen,
        findings=tuple(findings),
        near=tuple(tuple(group) for group in near),
    )


def _looked_at(
    files: ImageFiles, progress: Progress | None, *, cache: bool
) -> tuple[dict[str, Look], dict[str, tuple[str, str]]]:
    """Return a look by path, and for bad files the kind of fault and the reason."""
    looks: dict[str, Look] = {}
    faults: dict[str, tuple[str, str]] = {}
    with contextlib.ExitStack() as stack:
        known = stack.enter_context(LookCache()) if cache else None
        for start in range(0, len(files), _BATCH):
            paths = files.paths[start : start + _BATCH]
            _look_at_some(files.root, paths, known, looks=looks, faults=faults)
            if progress is not None:
                progress(start + len(paths), len(files))
    # Threads find them in no order.
    return looks, {path: faults[path] for path in files.paths if path in faults}


def _look_at_some(
    root: Path,
    paths: Sequence[str],
    known: LookCache | None,
    *,
    looks: dict[str, Look],
    faults: dict[str, tuple[str, str]],
) -> None:
    """Add a look or a fault for each of `paths`."""
    contents: dict[str, str] = {}
    states: dict[str, tuple[int, ...]] = {}

    def read(path: str) -> None:
        states[path] = file_state(root / path)
        contents[path] = content_hash(root / path)

    _for_each(root, paths, read, faults)
    cached = known.get(list(contents.values())) if known is not None else {}
    looks.update({path: cached[key] for path, key in contents.items() if key in cached})
    new = [path for path in contents if path not in looks]

    def see(path: str) -> None:
        looks[path] = look_at(root / path, contents[path])

    _for_each(root, new, see, faults)
    if known is not None:
        # Of a file that changed under way, the look belongs to another content than the hash.
        settled = [
            path for path in new if path in looks and states[path] == file_state(root / path)
        ]
        known.put(looks[path] for path in settled)


def _for_each(
    root: Path,
    paths: Sequence[str],
    function: Callable[[str], None],
    faults: dict[str, tuple[str, str]],
) -> None:
    """Call `function` with each path, on every core; note the faults of those that fail."""

    def tried(index: int) -> None:
        try:
            function(paths[index])
        except ImageError as error:
            faults[paths[index]] = (error.fault, reason_alone(error, root / paths[index]))

    each_file(tried, len(paths))


def _exact(
    files: ImageFiles, looks: Sequence[Look], near: Sequence[Sequence[int]]
) -> list[list[int]]:
    """Return the groups of files with the same content or the same pixels.

    Only near-copies of the same size can have the same pixels, so only these are decoded whole.
    """
    keys: dict[int, str] = {index: looks[index].content for group in near for index in group}
    sizes: dict[tuple[int, ...], dict[str, int]] = {}
    for number, group in enumerate(near):
        for index in group:
            size = (number, looks[index].width, looks[index].height)
            sizes.setdefault(size, {}).setdefault(looks[index].content, index)
    decoded = [index for one in sizes.values() if len(one) > 1 for index in one.values()]
    pixels: dict[str, str] = {}

    def decode(place: int) -> None:
        index = decoded[place]
        with contextlib.suppress(ImageError):  # it vanished since: its content is known
            pixels[looks[index].content] = pixels_hash(files.root / files.paths[index])

    each_file(decode, len(decoded))
    found: dict[tuple[int, str], list[int]] = {}
    for number, group in enumerate(near):
        for index in group:
            key = pixels.get(keys[index], keys[index])
            found.setdefault((number, key), []).append(index)
    return [group for group in found.values() if len(group) > 1]


def _counts(files: ImageFiles) -> NDArray[np.int64]:
    columns = split_columns(files)
    counts = np.zeros((len(files.class_names), len(columns)), np.int64)
    for label, split in zip(files.labels, files.splits, strict=True):
        if label >= 0:
            counts[label, columns.index(split)] += 1
    return counts
