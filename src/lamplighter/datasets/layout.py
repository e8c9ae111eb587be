"""What the folders of a data set mean: splits, classes, or wrappers around both.

People have `train/cats/1.jpg`, but also `cats/train/1.jpg`, `mac/seg_train/seg_train/cats/1.jpg`
and test images in no class folder. What is not written in the plainest way is said in a note, and
what may be read in two ways is refused.
"""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from lamplighter.datasets.split_names import read_split_name, resolve_splits
from lamplighter.errors import DatasetError
from lamplighter.files.naming import clean_name, shown
from lamplighter.text import counted, listed

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

_ORDER = {"train": 0, "val": 1, "test": 2}
_PLAIN = frozenset({"train", "val", "valid", "validation", "test"})
# Folders in which a split keeps images without classes, as some programs need a folder there.
_EMPTY = (
    "image images img imgs photo photos picture pictures file files data all all_classes unknown "
    "none jpg jpeg png"
)
_GENERIC = frozenset(_EMPTY.split())
_UNLABELED = frozenset({"unlabelled", "unlabeled"})  # beside classes: images still without one
# Parts of one set: with the same folders in each, or whatever is in them.
_FOLD = re.compile(r"(cv|split|part)[-_ ]?\d+", re.IGNORECASE)
_PART = re.compile(
    r"(?:.*[-_ ])?(?:fold|batch|chunk|shard|(?:images?|imgs?|data|dataset|photos?)(?:[-_ ]?part)?)"
    r"[-_ ]?\d+",
    re.IGNORECASE,
)
_OR_CSV = "or list the files in a CSV file with the columns path, label and split."


# By the path of a folder its split, and whether the folders in it are no classes.
_Places = dict[tuple[str, ...], tuple[str, bool]]


@dataclass(frozen=True)
class Layout:
    """What was understood of N paths.

    Attributes:
        splits: for each path "train", "val", "test" or "test-..."; "" where there are no splits.
        classes: for each path the name of its class; "" where it lies in no class folder.
        notes: what was understood, where it is not written in the plainest way.
    """

    splits: tuple[str, ...]
    classes: tuple[str, ...]
    notes: tuple[str, ...] = ()


@dataclass
class _Folder:
    images: int = 0  # in itself
    folders: dict[str, _Folder] = field(default_factory=dict)

    def add(self, parts: Sequence[str]) -> None:
        folder = self
        for name in parts:
            folder = folder.folders.setdefault(name, _Folder())
        folder.images += 1

    def total(self) -> int:
        return self.images + sum(folder.total() for folder in self.folders.values())

    @property
    def sorts(self) -> bool:
        """Whether its folders part the images in it: two or more, and few images beside them."""
        return len(self.folders) > 1 and 2 * self.images < self.total()

    @property
    def wraps(self) -> bool:
        """Whether one folder holds its images, all but a few, such as a picture of a plot."""
        return len(self.folders) == 1 and 2 * self.images < self.total()


def understand(paths: Iterable[Sequence[str]], root: str) -> Layout:
    """Return what the folders of N images mean.

    Args:
        paths: of each image the folders from the root on, and its name.
        root: what messages call the root.

    Raises:
        DatasetError: folders look like splits and like classes, or like several data sets.
    """
    places = [tuple(path[:-1]) for path in paths]  # the folders of each image
    tree = _Folder()
    for place in places:
        tree.add(place)
    base, folder = _unwrapped(tree)
    where = "/".join((root, *base)) if base else root
    found = _splits_on_top(folder, where) or _splits_below(folder, where)
    if found is None:
        labeled = {n: one for n, one in folder.folders.items() if not _without_labels(n)}
        _check_classes(labeled, where)
        found = _Found({(): ("", False)})
    splits, classes = [], []
    for place in places:
        within = place[: len(base)] == base  # else it lies beside the wrappers
        split, name = found.place(place[len(base) :]) if within else ("", "")
        splits.append(split)
        classes.append(name)
    result = Layout(tuple(splits), tuple(classes))
    _check_agreement(result, where)
    parted = {} if any(result.splits) else folder.folders
    return Layout(result.splits, result.classes, tuple(_notes(base, found, result, parted)))


@dataclass
class _Found:
    """Which folders are splits.

    Attributes:
        splits: by the path of a folder below the base.
        below: whether the splits lie in the classes.
        said: of each split, the folders it was found in, where one is not plainly named.
    """

    splits: _Places
    below: bool = False
    said: list[tuple[str, str]] = field(default_factory=list)

    def place(self, folders: tuple[str, ...]) -> tuple[str, str]:
        """Return the split and the class of an image in `folders`, both "" where it has none."""
        if self.below:
            split = self.splits.get(folders[:2], ("", False))[0]
            return split, clean_name(folders[0]) if folders else ""
        for depth in range(len(folders), -1, -1):
            if folders[:depth] in self.splits:
                split, flat = self.splits[folders[:depth]]
                rest = folders[depth:]
                labeled = rest and not flat and not _without_labels(rest[0])
                return split, clean_name(rest[0]) if labeled else ""
        return "", ""


def _without_labels(folder: str) -> bool:
    """Return whether a folder among those of classes is for images that have no label yet."""
    return folder.strip().casefold() in _UNLABELED


def _unwrapped(tree: _Folder) -> tuple[tuple[str, ...], _Folder]:
    """Return the folder that classes or splits lie in: below folders that hold one folder alone."""
    path: list[str] = []
    folder = tree
    while folder.wraps:
        ((name, inner),) = folder.folders.items()
        inner_splits = set(resolve_splits(inner.folders).values())
        alone = read_split_name(name).certain and ("" in inner_splits or len(inner_splits) < 2)
        if alone:  # a split without others
            return tuple(path), folder
        path.append(name)
        folder = inner
    return (tuple(path), folder) if folder.sorts else ((), tree)


def _splits_on_top(base: _Folder, where: str) -> _Found | None:
    """Return the splits, where all folders are splits; None where none of them need be."""
    names = resolve_splits(base.folders)
    read = {name: read_split_name(name) for name in names}
    around = {read[name].around for name, split in names.items() if split and read[name].around}
    if not all(names.values()) or not {"train", "val", "test"} & set(names.values()):
        return None
    both = [one for one in around if sum(read[name].around == one for name in names) > 1]
    if len(both) > 1:
        raise DatasetError(
            f"{shown(where)} has folders that name a class and a split at once "
            f"({_few(names)}); make folders train and test, with a folder for each class in them, "
            f"{_OR_CSV}"
        )
    found = _Found({})
    for name, split in names.items():
        others = {
            inner for other in names if other != name for inner in _classes_in(base.folders[other])
        }
        path, flat = _inside(base.folders[name], name, others)
        found.splits[(name,)] = (split, True)  # what lies beside its wrappers
        found.splits[(name, *path)] = (split, flat)
        found.said.append((split, "/".join((name, *path))))
    if all(_is_plain(split, folder) for split, folder in found.said):
        found.said.clear()
    return found


def _is_plain(split: str, folder: str) -> bool:
    """Return whether a folder is called as splits are called here, with its classes in it."""
    name = folder.strip()
    return name.lower() in _PLAIN or ("/" not in name and split == f"test-{clean_name(name[5:])}")


def _classes_in(split: _Folder) -> list[str]:
    return list(split.folders) if len(split.folders) > 1 else []


def _inside(folder: _Folder, name: str, others: set[str]) -> tuple[tuple[str, ...], bool]:
    """Return where in a split its classes lie, and whether there are none.

    Args:
        folder: the split.
        name: of its folder.
        others: the classes of other splits.
    """
    path: list[str] = []
    while folder.wraps:
        ((inner_name, inner),) = folder.folders.items()
        if inner_name in others:
            break
        same = inner_name.casefold() == name.casefold() or (
            read_split_name(inner_name).role == read_split_name(name).role
        )
        empty = not inner.folders and (same or inner_name.lower() in _GENERIC)
        if not empty and not inner.sorts and not (same and inner.folders):
            break
        path.append(inner_name)
        folder = inner
        if empty:
            return tuple(path), True
    return tuple(path), False


def _splits_below(base: _Folder, where: str) -> _Found | None:
    """Return the splits, where each class has its own, as in ants/train; else None."""
    inner = {name: resolve_splits(folder.folders) for name, folder in base.folders.items()}
    split = {
        name
        for name, splits in inner.items()
        if splits
        and all(splits.values())
        and 2 * base.folders[name].images < base.folders[name].total()
    }
    several = [name for name in split if len(set(inner[name].values())) > 1]
    if not several or len(_roles(base.folders)) > 1:
        return None
    sorted_in = [
        name
        for name in split
        if any(folder.sorts for folder in base.folders[name].folders.values())
    ]
    if sorted_in:
        raise DatasetError(
            f"{shown(where)} must be one data set, received folders with splits and classes of "
            f"their own ({_few(sorted_in)}); name one of them."
        )
    if split != set(inner):
        name = sorted(several)[0]
        raise DatasetError(
            f"{shown(where)} has folders with splits in them ({_few(several)}: "
            f"{_few(inner[name])}) beside others without ({_few(set(inner) - split)}); give each "
            f"class the same splits, {_OR_CSV}"
        )
    names: _Places = {(name, part): (s, True) for name in inner for part, s in inner[name].items()}
    first = min(inner)
    said = [(s, f"{first}/{part}") for part, s in inner[first].items()]
    return _Found(names, below=True, said=said)


def _check_classes(folders: dict[str, _Folder], where: str) -> None:
    """Refuse folders as classes that look like splits or like parts of one set."""
    names = sorted(folders)
    inner = [set(folders[name].folders) for name in names]
    same = len(names) > 1 and len(inner[0]) > 1 and all(one == inner[0] for one in inner)
    pattern = re.compile(f"{_FOLD.pattern}|{_PART.pattern}", re.IGNORECASE) if same else _PART
    if len(names) > 1 and all(pattern.fullmatch(name.strip()) for name in names):
        raise DatasetError(
            f"{shown(where)} has folders that look like parts of one set, not like classes "
            f"({_few(names)}); put the images of a class into one folder of its name, {_OR_CSV}"
        )
    _check_copies(folders, where)
    suspects = _suspects(folders)
    others = [name for name in names if name not in suspects]
    if suspects and not others:
        raise DatasetError(
            f"{shown(where)} must hold folders of classes, received folders of splits once more "
            f"({_few(suspects)}); name one of them, or rename them if they are classes, {_OR_CSV}"
        )
    if suspects:
        raise DatasetError(
            f"{shown(where)} has folders of splits ({_few(suspects)}) beside others "
            f"({_few(others)}); move the others elsewhere, or name a further test split test-NAME; "
            f"if all of them are classes, rename {_few(suspects)}, {_OR_CSV}"
        )


def _check_copies(folders: dict[str, _Folder], where: str) -> None:
    """Refuse a folder whose folders are called like those beside it: another set, or a split."""
    names = {name.casefold() for name in folders}
    for name, folder in sorted(folders.items()):
        inner = {inner.casefold() for inner in folder.folders}
        if not folder.images and len(inner) > 1 and inner <= names and len(_roles(folders)) < 2:
            raise DatasetError(
                f"{shown(where)} has a folder {shown(name)} whose folders are called like those "
                f"beside it ({_few(folder.folders)}); move it elsewhere, or, if it is a split, the "
                f"others into a folder train, {_OR_CSV}"
            )


def _suspects(folders: dict[str, _Folder]) -> list[str]:
    """Return which of several folders look like splits, where not all of them are classes."""
    if len(folders) < 2:
        return []
    certain = [name for name in sorted(folders) if read_split_name(name).certain]
    if len(_roles(folders)) > 1:
        return certain
    return [name for name in certain if not _may_be_class(name, folders)]


def _roles(names: Iterable[str]) -> set[str]:
    """Return which splits are named for certain."""
    return {read_split_name(name).role for name in names if read_split_name(name).certain}


def _may_be_class(name: str, folders: dict[str, _Folder]) -> bool:
    """Return whether a folder called like a split is a class: a train among cars, valid coins."""
    word = name.strip().casefold()
    if word == "train":
        others = any(folders[other].folders for other in folders if other != name)
        return others or not folders[name].sorts
    return word == "valid" and any(re.search(r"invalid|not", other.lower()) for other in folders)


def _check_agreement(layout: Layout, where: str) -> None:
    """Refuse splits whose classes are others than those of train altogether."""
    classes: dict[str, Counter[str]] = {}
    for split, name in zip(layout.splits, layout.classes, strict=True):
        if name:
            classes.setdefault(split, Counter())[name] += 1
    together = sum(classes.values(), Counter[str]())
    for split, names in (*sorted(classes.items()), ("all splits", together)):
        tree = {name: _Folder(images=count) for name, count in names.items()}
        if any(layout.splits) and split and _suspects(tree):
            _check_classes(tree, f"{where} ({split})")
    train = classes.get("train", Counter())
    for split in ("val", "test"):
        names = classes.get(split, Counter())
        if len(train) > 1 and len(names) > 1 and not set(train) & set(names):
            case = {name.casefold() for name in train} & {name.casefold() for name in names}
            raise DatasetError(
                f"{shown(where)} must have the same classes in train and {split}, received "
                f"{_few(train)} and {_few(names)}, none in common"
                f"{' but for the case of letters' if case else ''}; rename the folders, "
                f"{_OR_CSV}"
            )


def _notes(
    base: tuple[str, ...], found: _Found, layout: Layout, classes: dict[str, _Folder]
) -> Iterator[str]:
    """Yield what is to be said of a layout that is not the plainest."""
    said = sorted(found.said, key=lambda one: (_ORDER.get(one[0], 3), one))
    parts = [f"{split} is {shown(folder)}" for split, folder in said]
    if found.below:
        parts = ["the splits lie in the classes: " + ", ".join(parts)]
    if base:
        inside = "splits" if any(layout.splits) else "classes"
        parts.insert(0, f"the {inside} lie in {shown('/'.join(base))}")
    if parts:
        yield f"understood: {'; '.join(parts)}."
    if beside := sorted(name for name in classes if _without_labels(name)):
        yield f"understood: images in {_few(beside)} have no label yet."
    if nested := {name: one for name, one in sorted(classes.items()) if len(one.folders) > 1}:
        inner = [set(one.folders) for one in nested.values()]
        if len(nested) == len(classes) > 1 and all(one == inner[0] for one in inner):
            yield (
                f"understood: the classes are {_few(classes)}; each has the same folders in it "
                f"({_few(inner[0])}), which are not told apart. If these are the classes, put the "
                f"images of each together, {_OR_CSV}"
            )
        else:
            parted = [f"{name}/{below}" for name, one in nested.items() for below in one.folders]
            yield (
                f"understood: {_few(nested)}: a class is all that lies in its folder, the folders "
                f"in it are not told apart ({_few(parted)})."
            )


def unlabelled_notes(splits: Sequence[str], classes: Sequence[str]) -> list[str]:
    """Return which splits have images in no class, where other images have one."""
    if not any(classes):
        return []
    without = Counter(s for s, name in zip(splits, classes, strict=True) if s and not name)
    whole = Counter(splits)
    return [
        f"{split} has {counted(count, 'image')} without a label"
        + (
            ": nothing is measured on it, `lamplighter predict` answers it."
            if count == whole[split]
            else ", left out of training and measuring."
        )
        for split, count in sorted(without.items())
    ]


def _few(names: Iterable[str]) -> str:
    return listed([shown(name) for name in sorted(names)], 5)
