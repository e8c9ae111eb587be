"""Scenes in the names of files: frames of one video, a burst, photos of one hour.

Such images show nearly the same thing. Where they stand on both sides of a split, scores are too
good; `--group` keeps them together. Here a pattern for it is found, and offered, never applied.
"""

from __future__ import annotations

import re
import shlex
from collections import Counter, defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING

from lamplighter.files.naming import group_finder

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lamplighter.datasets.files import ImageFiles

# A day and a time in a name, as cameras and phones write them: 20240501_123456, 2024-05-01 12.34.56
_DAY = r"(?:19|20)\d{2}[-_.]?(?:0\d|1[0-2])[-_.]?[0-3]\d"
_BETWEEN = r"[-_ T.]{1,3}(?:at )?"
_HOUR = r"(?:[01]\d|2[0-3])"
# Hours before minutes, which would cut what was one scene.
_BY_TIME = (rf"{_DAY}{_BETWEEN}{_HOUR}", rf"{_DAY}{_BETWEEN}{_HOUR}[-_.:h]?[0-5]\d")
# A name and a running number: scene3_0001, video-a (12), person1_bacteria_2; and the copies that
# Roboflow makes of one photo.
_BY_NUMBER = (r"^(.*\D)\d+\.", r"^(.*\D)\d+\)\.", r"^(.+)\.rf\.[0-9a-f]{8,}")
_FEWEST = 6  # scenes; of fewer, no share can be taken for a split
_COVERED = 0.9  # share of the files that must have a scene
_TOGETHER = 0.5  # share of them whose scene has other files
_LARGEST = 0.3  # share of a class that one scene may have
_ONE_CLASS = 0.9  # share of the files that are of the commonest class of their scene
_SPREAD = 3  # scenes that a class must have, to be in train, val and test


@dataclass(frozen=True)
class Scenes:
    """What the names of files say of scenes.

    Attributes:
        pattern: a regular expression for `group=` or `--group`.
        groups: for each file the name of its scene, "" where it has none.
    """

    pattern: str
    groups: tuple[str, ...]

    @property
    def count(self) -> int:
        """How many scenes there are."""
        return len(set(self.groups) - {""})


def find_scenes(files: ImageFiles) -> Scenes | None:
    """Return the scenes that the names of `files` speak of; None where they do not.

    Names that are a class and a number (cat_001.jpg) or a camera's running number (IMG_1234.jpg)
    speak of none. Times of day give hours, or minutes where all was taken within few hours.
    """
    if len(files) < 2 * _FEWEST:
        return None
    names = [path.rpartition("/")[2] for path in files.paths]
    labels = files.labels.tolist()
    for patterns, by_time in ((_BY_TIME, True), (_BY_NUMBER, False)):
        for pattern in patterns:
            find = group_finder(pattern)
            groups = tuple(map(find, names))
            if _is_sensible(groups, labels, by_time=by_time):
                return Scenes(_short(pattern, names, groups) if by_time else pattern, groups)
    return None


def scene_advice(files: ImageFiles) -> tuple[str, bool] | None:
    """Return a line that offers to keep scenes together, and whether splits part them already.

    None where there is nothing to offer: no scenes, groups that were given, or splits that no
    scene stands across.
    """
    scenes = None if any(files.groups) else find_scenes(files)
    if scenes is None:
        return None
    option = shlex.quote(scenes.pattern)
    looks = f"these names look like frames of {scenes.count:,} scenes"
    labelled = {s for s, label in zip(files.splits, files.labels, strict=True) if label >= 0}
    if "" in files.splits or not {"train", "val", "test"} <= labelled:
        return f"{looks}; keep each scene in one split with --group {option}.", False
    across = _across(scenes, files.splits)
    if not across:
        return None
    are_in = "of which is" if across == 1 else "of which are"
    return (
        f"{looks}, {across:,} {are_in} in more than one split, so scores may be too high; "
        f"look at them with lamplighter audit --group {option}.",
        True,
    )


def scene_notes(files: ImageFiles) -> tuple[str, ...]:
    """Return the line of `scene_advice`, none where there is nothing to offer."""
    advice = scene_advice(files)
    return (advice[0],) if advice else ()


def _short(pattern: str, names: Sequence[str], groups: Sequence[str]) -> str:
    r"""Return a pattern that finds the same groups and can be read, such as \d{8}_\d\d."""
    first = next(group for group in groups if group)
    pieces = re.findall(r"\d+|\D+", first)
    short = "".join(_digits(piece) if piece.isdecimal() else re.escape(piece) for piece in pieces)
    return short if tuple(map(group_finder(short), names)) == tuple(groups) else pattern


def _digits(piece: str) -> str:
    return r"\d" * len(piece) if len(piece) < 3 else rf"\d{{{len(piece)}}}"


def _across(scenes: Scenes, splits: Sequence[str]) -> int:
    """Return how many scenes stand in more than one split."""
    homes: defaultdict[str, set[str]] = defaultdict(set)
    for group, split in zip(scenes.groups, splits, strict=True):
        if group:
            homes[group].add(split)
    return sum(len(found) > 1 for found in homes.values())


def _is_sensible(groups: Sequence[str], labels: Sequence[int], *, by_time: bool) -> bool:
    """Return whether groups look like scenes: several files each, several of them in each class."""
    sizes = Counter(group for group in groups if group)
    covered = sizes.total()
    if len(sizes) < _FEWEST or covered < _COVERED * len(groups):
        return False
    if sum(size for size in sizes.values() if size > 1) < _TOGETHER * covered:
        return False
    in_class: defaultdict[int, Counter[str]] = defaultdict(Counter)
    in_scene: defaultdict[str, Counter[int]] = defaultdict(Counter)
    for group, label in zip(groups, labels, strict=True):
        if group:
            in_class[label][group] += 1
            in_scene[group][label] += 1
    large = {label: found for label, found in in_class.items() if found.total() > _SPREAD}
    spread = sum(
        found.total()
        for found in large.values()
        if len(found) >= _SPREAD and max(found.values()) <= _LARGEST * found.total() + 1
    )
    if spread < _COVERED * sum(found.total() for found in large.values()):
        return False
    # Moments may hold anything; what a running number is added to is one thing.
    pure = sum(max(found.values()) for found in in_scene.values())
    return by_time or pure >= _ONE_CLASS * covered
