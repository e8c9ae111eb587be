"""What a person may do about a finding of an audit without touching a file."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from lamplighter.auditing.findings import NO_SPLIT
from lamplighter.text import counted

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from lamplighter.auditing.findings import Finding
    from lamplighter.datasets.files import ImageFiles

# Findings of single files that are left out where they cannot be mended, and why, in a few words.
# What is framed, grey or of an odd size is as good as others for most purposes: it is only shown.
_REASONS = {
    "empty": "empty",
    "needs-package": "HEIC without its package",
    "not-read": "a format that is not supported",
    "not-an-image": "not an image",
    "damaged": "damaged",
    "too-large": "too large",
    "unreadable": "unreadable",
    "blank": "blank",
    "near-blank": "nearly blank",
    "blurred": "blurred",
    "dark": "dark",
    "over-exposed": "over-exposed",
    "low-information": "next to empty",
    "tiny": "tiny",
}
_COPIES = ("exact-duplicates", "near-duplicates")
_MOST_SPLITS = 4  # of one finding that each have a button


@dataclass(frozen=True, kw_only=True)
class Remedy:
    """One step in a workspace that mends a finding, or a part of it.

    Attributes:
        action: the step: "set-aside" and "label" are done to `files`, "merge" to `names`.
        words: what it does, in a few words, for a button.
        files: the paths concerned, relative to the root of the data set.
        reason: why files are set aside.
        class_name: the class that files are given, or that classes become part of.
        names: classes that end.
        group: which of the finding's groups it mends, None for all of the finding.
    """

    action: Literal["set-aside", "label", "merge"]
    words: str
    files: tuple[str, ...] = ()
    reason: str = ""
    class_name: str = ""
    names: tuple[str, ...] = ()
    group: int | None = None


def remedies(finding: Finding, files: ImageFiles) -> tuple[Remedy, ...]:
    """Return what may be done about a finding, the best first; nothing where only photos help.

    Files set aside since the audit are left out, so that of copies one always stays. Splits are
    folders, which no step of a workspace changes: of leakage, the copies on one side are set aside.

    Args:
        finding: of an audit.
        files: those in use now, with the labels that hold now.
    """
    return tuple(_remedies(finding, _InUse(files)))


class _InUse:
    """The files that are not set aside: their rows by path."""

    def __init__(self, files: ImageFiles) -> None:
        self.files = files
        self._rows = {path: row for row, path in enumerate(files.paths)}

    def of(self, paths: Sequence[str]) -> list[str]:
        """Return those of `paths` that are in use."""
        return [path for path in paths if path in self._rows]

    def split(self, path: str) -> str:
        return self.files.splits[self._rows[path]] or NO_SPLIT

    def label(self, path: str) -> str:
        """Return the name of the class of a file, "" for none."""
        label = int(self.files.labels[self._rows[path]])
        return self.files.class_names[label] if label >= 0 else ""


def _remedies(finding: Finding, used: _InUse) -> Iterator[Remedy]:
    groups = [used.of(group) for group in finding.groups]
    if finding.kind in _REASONS:
        yield from _aside("Set", used.of(finding.files), "aside", _REASONS[finding.kind])
    elif finding.kind in _COPIES:
        yield from _one_of_each(groups, used)
    elif finding.kind == "leakage":
        yield from _one_side(groups, finding.details.get("splits", []), used)
    elif finding.kind == "group-leakage":
        spread = sorted({used.split(path) for group in groups for path in group})
        yield from _one_side(groups, spread[:_MOST_SPLITS], used)
    elif finding.kind == "conflicting-labels":
        yield from _one_label(groups, used)
    elif finding.kind == "similar-names":
        yield from _one_name(finding.details.get("classes", []), used.files)


def _aside(
    verb: str, paths: Sequence[str], rest: str, reason: str, group: int | None = None
) -> Iterator[Remedy]:
    if paths:
        yield Remedy(
            action="set-aside",
            words=f"{verb} {counted(len(paths), 'image')} {rest}",
            files=tuple(paths),
            reason=reason,
            group=group,
        )


def _one_of_each(groups: Sequence[Sequence[str]], used: _InUse) -> Iterator[Remedy]:
    """Keep one of each group, with a label if one has; all where their labels differ."""
    copies = []
    for group in groups:
        labels = {used.label(path) for path in group} - {""}
        if len(labels) > 1:  # it is not for this remedy to say which label is right
            continue
        labeled = [path for path in group if used.label(path)]
        kept = (labeled or [*group, ""])[0]
        copies += [path for path in group if path != kept]
    yield from _aside("Keep one of each, set", copies, "aside", "a copy of another image")


def _one_side(
    groups: Sequence[Sequence[str]], splits: Sequence[str], used: _InUse
) -> Iterator[Remedy]:
    """Set aside what one split shares with others; first in training, so that tests stay whole."""
    for split in sorted(splits, key=lambda name: name not in ("train", NO_SPLIT)):
        shared = [
            path
            for group in groups
            if len({used.split(path) for path in group} & set(splits)) > 1
            for path in group
            if used.split(path) == split
        ]
        others = " or ".join(name for name in splits if name != split)
        reason = f"also in {others}"
        yield from _aside("Set", list(dict.fromkeys(shared)), f"in {split} aside", reason)


def _one_label(groups: Sequence[list[str]], used: _InUse) -> Iterator[Remedy]:
    """Give copies one label, group by group, that most of them have; or set all of them aside."""
    differing: list[list[str]] = []
    for number, group in enumerate(groups):
        votes = Counter(label for path in group if (label := used.label(path)))
        if len(votes) < 2:
            continue
        differing.append(group)
        for name, _ in votes.most_common():
            words = f"Label {'both' if len(group) == 2 else f'all {len(group)}'} {name}"
            yield Remedy(
                action="label", words=words, files=tuple(group), class_name=name, group=number
            )
        yield from _aside("Set", group, "aside", "its label is not clear", group=number)
    if len(differing) > 1:
        paths = list(dict.fromkeys(path for group in differing for path in group))
        yield from _aside("Set", paths, "aside", "copies have different labels")


def _one_name(alike: Sequence[Sequence[str]], files: ImageFiles) -> Iterator[Remedy]:
    """Merge classes whose names are alike into the one with the most images."""
    counts = Counter(files.labels.tolist())
    sizes = {name: counts[number] for number, name in enumerate(files.class_names)}
    for group in alike:
        there = [name for name in group if name in sizes]
        if len(there) < 2:
            continue
        into = max(there, key=lambda name: sizes[name])
        ending = tuple(name for name in there if name != into)
        shown = " and ".join(map(repr, ending))
        yield Remedy(
            action="merge", words=f"Merge {shown} into {into!r}", class_name=into, names=ending
        )
