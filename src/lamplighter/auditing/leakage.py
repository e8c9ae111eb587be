"""Leakage: duplicates within a split, between splits, and with different labels.

Groups are united by a union-find of our own, whose `root` is that of the digit finder:
scipy.sparse.csgraph.connected_components takes 0.3 s to import, while ours unites 10,000 files in
0.02 s.
"""

from __future__ import annotations

from itertools import combinations
from typing import TYPE_CHECKING

from lamplighter.auditing.findings import NO_SPLIT, Finding, split_columns
from lamplighter.datasets.scenes import scene_advice
from lamplighter.images.digits.connected_components import root
from lamplighter.text import counted

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from lamplighter.datasets.files import ImageFiles

    Groups = Sequence[Sequence[int]]


def copies(files: ImageFiles, exact: Groups, near: Groups) -> Iterator[Finding]:
    """Yield what follows from copies among `files`.

    Args:
        files: the usable files.
        exact: groups of indices of files with the same content or the same pixels.
        near: groups of near-copies; each of `exact` lies within one of them.
    """
    yield from _leaks(files, near)
    yield from _other_labels(files, near)
    within = _within(files, exact)
    if within:
        sentence = (
            f"{_size(within)} are the same picture within one split; keep one of "
            "each, or it counts more than others."
        )
        yield _finding("exact-duplicates", "warning", sentence, files, within)
    original = {index: group[0] for group in exact for index in group}
    within = [
        group
        for group in _within(files, near)
        if len({original.get(index, index) for index in group}) > 1
    ]
    if within:
        remedy = "keep them in one split" if "" in split_columns(files) else "keep one of each"
        sentence = f"{_size(within)} are nearly the same picture within one split; {remedy}."
        yield _finding("near-duplicates", "note", sentence, files, within)


def groups_across_splits(files: ImageFiles) -> Iterator[Finding]:
    """Yield the groups that were given (such as one boat's photos) and stand in several splits."""
    members: dict[str, list[int]] = {}
    for index, group in enumerate(files.groups):
        if group and files.splits[index]:
            members.setdefault(group, []).append(index)
    found = [m for m in members.values() if len({files.splits[index] for index in m}) > 1]
    if found:
        sentence = (
            f"{counted(len(found), 'group of files is', 'groups of files are')} in "
            "more than one split; move each to one of them, or scores are too high."
        )
        yield _finding("group-leakage", "warning", sentence, files, found)


def scenes_in_names(files: ImageFiles) -> Iterator[Finding]:
    """Yield that the names of files speak of scenes, where no groups were given."""
    advice = scene_advice(files)
    if advice:
        sentence, parted = advice
        yield Finding("scenes", "warning" if parted else "note", sentence)


def merged_groups(files: ImageFiles, near: Groups) -> tuple[str, ...]:
    """Return the group of each file when near-copies belong together, too.

    Args:
        files: the usable files, with the groups that they have.
        near: groups of indices of near-copies.
    """
    parents = list(range(len(files)))
    members: dict[str, list[int]] = {}
    for index, name in enumerate(files.groups):
        if name:
            members.setdefault(name, []).append(index)
    for group in (*members.values(), *near):
        for index in group[1:]:
            one, other = sorted((root(parents, group[0]), root(parents, index)))
            parents[other] = one
    roots = [root(parents, index) for index in range(len(files))]
    together = {roots[index] for group in near for index in group}
    # A path stands for a new group: no other group has one, save by a strange chance.
    return tuple(
        files.paths[one] if one in together else group
        for one, group in zip(roots, files.groups, strict=True)
    )


def _leaks(files: ImageFiles, near: Groups) -> Iterator[Finding]:
    """Yield one finding for each pair of splits that share a picture."""
    columns = split_columns(files)
    for one, other in combinations(columns, 2):
        shared = []
        for group in near:
            pair = [index for index in group if files.splits[index] in (one, other)]
            if len({files.splits[index] for index in pair}) == 2:
                shared.append(_varied(pair, [files.splits[index] == one for index in pair]))
        if not shared:
            continue
        kept, judged = (one, other) if one else (other, one)
        if not other:  # files without a split will be trained on
            kept, judged = other, one
        concerned = sum(files.splits[index] == judged for group in shared for index in group)
        total = files.splits.count(judged)
        sentence = (
            f"{concerned:,} of {counted(total, f'{judged} image')} "
            f"{'is a copy or near-copy' if concerned == 1 else 'are copies or near-copies'} "
            f"of images in {kept or NO_SPLIT}; take them out of one of the two, or "
            f"scores on {judged} are too high."
        )
        finding = _finding("leakage", "warning", sentence, files, shared)
        finding.details.update(splits=[kept or NO_SPLIT, judged], concerned=concerned, of=total)
        yield finding


def _other_labels(files: ImageFiles, near: Groups) -> Iterator[Finding]:
    found = []
    for group in near:
        labels = [int(files.labels[index]) for index in group]
        if len(set(labels) - {-1}) > 1:
            found.append(_varied(group, labels))
    if found:
        sentence = (
            f"{_size(found)} are the same picture, or nearly, with different labels; "
            "decide which label is right."
        )
        yield _finding("conflicting-labels", "warning", sentence, files, found)


def _varied(group: Sequence[int], kinds: Sequence[int]) -> list[int]:
    """Return `group` with the first of each kind before the others: what is shown is cut short."""
    first = [place for place, kind in enumerate(kinds) if kinds.index(kind) == place]
    others = [place for place in range(len(group)) if place not in set(first)]
    return [group[place] for place in (*first, *others)]


def _within(files: ImageFiles, groups: Groups) -> list[list[int]]:
    """Return the parts of `groups` that lie in one split and have two files or more."""
    found = []
    for group in groups:
        parts: dict[str, list[int]] = {}
        for index in group:
            parts.setdefault(files.splits[index], []).append(index)
        found += [part for part in parts.values() if len(part) > 1]
    return found


def _size(groups: Groups) -> str:
    images = counted(sum(map(len, groups)), "image")
    return f"{images} in {counted(len(groups), 'group')}"


def _finding(
    kind: str, severity: str, sentence: str, files: ImageFiles, groups: Iterable[Sequence[int]]
) -> Finding:
    named = tuple(tuple(files.paths[index] for index in group) for group in groups)
    return Finding(
        kind,
        "warning" if severity == "warning" else "note",
        sentence,
        tuple(dict.fromkeys(path for group in named for path in group)),
        named,
    )
