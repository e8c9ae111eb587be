"""Files shared out to train, val and test: by class, at random, groups kept together."""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from lamplighter.errors import DatasetError
from lamplighter.text import listed

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lamplighter.datasets.files import ImageFiles

UNLABELLED = "has no label; move it into the folder of its class, or fill in its label."


def assign_splits(
    files: ImageFiles, *, val: float = 0.15, test: float = 0.15, seed: int = 0
) -> ImageFiles:
    """Return `files`, each in a split: the missing ones of train, val and test are made.

    Where no file has a split, all are shared out; where some have, those without one are; where
    all have, val and test are taken out of train, if there are none. What has a split else keeps
    it. Of each class every split gets its share, within one image; at shares of 15 and 15 % a
    class with one or two images is in train alone, one with three or four in train and one other.
    Files of one group stay together: the groups are taken from the largest to the smallest, and
    each goes to the split that lacks most of its classes. Files without a label are set aside
    where others have one.

    Args:
        files: N files.
        val: the share of all files to be shared out that becomes "val", 0 <= val < 1.
        test: the share of them that becomes "test", 0 <= test < 1 - val.
        seed: of the order in which files are taken; the same seed gives the same splits.

    Raises:
        DatasetError: the shares are out of range.
    """
    if not (min(val, test) >= 0 and val + test < 1):  # NaN as well
        raise DatasetError(
            f"the shares of val and test must be at least 0 and together below 1, "
            f"received {val} and {test}."
        )
    files = _labelled(files)
    if all_shared_out(files, val=val, test=test):
        return _with_notes(files, [])
    shares = _missing(files, val=val, test=test)
    source = "" if "" in files.splits else "train"
    splits = list(files.splits)
    if source == "":
        _follow_groups(files, splits)
    pool = [index for index, split in enumerate(splits) if split == source]
    shares = {"train": 1.0 - sum(shares.values()), **shares}
    for index, name in zip(pool, _share_out(files, pool, shares, seed), strict=True):
        splits[index] = name
    result = replace(files, splits=tuple(splits))
    return _with_notes(result, _what_was_made(splits, shares, taken=len(pool) if source else 0))


def all_shared_out(files: ImageFiles, *, val: float = 0.15, test: float = 0.15) -> bool:
    """Return whether `assign_splits` would leave every file in the split where it is.

    Args:
        files: N files.
        val: the share that it would be given for "val".
        test: the share that it would be given for "test".
    """
    files = _labelled(files)  # a test set without labels measures nothing
    made = "train" in files.splits and _missing(files, val=val, test=test)
    return "" not in files.splits and not made


def check_classes(files: ImageFiles, purpose: str = "training") -> None:
    """Check that there is something to tell apart: two classes or more with a training image.

    Args:
        files: the files; where none has a split yet, all are counted.
        purpose: what the classes are for, as the message names it.

    Raises:
        DatasetError: there are fewer than two classes, or splits but no "train".
    """
    if files.split_names and not {"train", ""} & set(files.splits):
        raise DatasetError(
            f"{purpose} needs images in train, received {files.name} with "
            f"{', '.join(files.split_names)} alone; name the folder above train."
        )
    in_train = np.array([split == "train" for split in files.splits], dtype=bool)
    labels = files.labels[in_train] if in_train.any() else files.labels
    names = [files.class_names[label] for label in np.unique(labels[labels >= 0])]
    if len(names) < 2:
        received = f"{names[0]!r} alone" if names else "no labels"
        raise DatasetError(
            f"{purpose} needs two classes or more, received {received} in {files.name}; put the "
            "images of each class into a folder of its own and name the folder above these."
        )


def _missing(files: ImageFiles, *, val: float, test: float) -> dict[str, float]:
    """Return the shares of the splits that are asked for and have no file."""
    shares = {"val": val, "test": test}
    return {name: share for name, share in shares.items() if share and name not in files.splits}


def _labelled(files: ImageFiles) -> ImageFiles:
    unlabelled = files.labels < 0
    if unlabelled.all() or not unlabelled.any():
        return files
    return files.setting_aside({files.paths[i]: UNLABELLED for i in np.flatnonzero(unlabelled)})


def _follow_groups(files: ImageFiles, splits: list[str]) -> None:
    """Give files without a split that of their group, where others of it have one."""
    homes: dict[str, str] = {}
    for split, group in zip(files.splits, files.groups, strict=True):
        if split and group and homes.get(group) != "train":
            homes[group] = split
    for index, group in enumerate(files.groups):
        if not splits[index]:
            splits[index] = homes.get(group, "")


def _share_out(
    files: ImageFiles, pool: Sequence[int], shares: dict[str, float], seed: int
) -> list[str]:
    """Return a split for each file of `pool`, groups together, near the shares in each class."""
    labels = [int(files.labels[index]) for index in pool]
    units = _units([files.groups[index] for index in pool])
    order = np.random.default_rng(seed).permutation(len(units))
    in_class = Counter(labels)
    # How many images of each class a split still lacks, in shares of the class.
    lacking = {name: dict.fromkeys(in_class, share) for name, share in shares.items()}
    in_all = {name: share * len(pool) for name, share in shares.items()}
    untrained = set(in_class)
    result = [""] * len(pool)
    for number in sorted(order, key=lambda number: -len(units[number])):
        counts = Counter(labels[place] for place in units[number])
        if untrained.isdisjoint(counts):
            # Where splits lack the same of these classes, the one that lacks most in all.
            home = max(
                lacking,
                key=lambda name: (
                    round(sum(lacking[name][label] * n for label, n in counts.items()), 9),
                    in_all[name],
                ),
            )
        else:  # a class is learnt first and measured then
            home = "train"
        if home == "train":
            untrained.difference_update(counts)
        for label, count in counts.items():
            lacking[home][label] -= count / in_class[label]
        in_all[home] -= len(units[number])
        for place in units[number]:
            result[place] = home
    return result


def _units(groups: Sequence[str]) -> list[list[int]]:
    """Return what has to stay together: the members of each group, and each file without one."""
    together: defaultdict[str, list[int]] = defaultdict(list)
    alone = []
    for place, group in enumerate(groups):
        if group:
            together[group].append(place)
        else:
            alone.append([place])
    return [*together.values(), *alone]


def _what_was_made(splits: Sequence[str], shares: dict[str, float], *, taken: int) -> list[str]:
    """Return what to know of the splits that were made, out of `taken` training images."""
    made = [name for name in shares if name != "train"]
    notes = []
    if taken:
        held_out = " and ".join(f"{splits.count(name):,}" for name in made)
        notes.append(
            f"no {' and no '.join(made)} split found: {held_out} of the {taken:,} training "
            "images are held out for it."
        )
    notes += [
        f"too few images for a {name} split: at a share of {shares[name]:.0%} no class has an "
        "image, or a group of them, to spare."
        for name in made
        if name not in splits
    ]
    return notes


def _with_notes(files: ImageFiles, notes: Sequence[str]) -> ImageFiles:
    """Return `files` with `notes`, and with what cannot be learnt or measured in their splits."""
    in_split: defaultdict[str, set[int]] = defaultdict(set)
    for split, label in zip(files.splits, files.labels, strict=True):
        in_split[split].add(int(label))
    classes = set().union(*in_split.values()) - {-1}
    lacks = {
        "train": "without a training image",
        "val": "without an image in val, so not measured there",
        "test": "without an image in test, so not measured there",
    }
    notes = list(notes)
    for name, lack in lacks.items():
        missing = [files.class_names[label] for label in sorted(classes - in_split[name])]
        if in_split[name] and missing:
            notes.append(f"{lack}: {listed(missing)}.")
    return replace(files, notes=tuple(dict.fromkeys([*files.notes, *notes])))
