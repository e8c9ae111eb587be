"""Findings of an audit on single files and on the classes of a data set."""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from lamplighter.images.formats import INSTALL_HEIF, NO_IMAGE_NAME
from lamplighter.text import counted

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence

    from numpy.typing import NDArray

    from lamplighter.auditing.quality import Fault
    from lamplighter.auditing.thumbnails import Look
    from lamplighter.datasets.files import ImageFiles

Severity = Literal["error", "warning", "note"]

NO_SPLIT = "no split"
_BLANK, _NEARLY_BLANK = 0.5, 3.0  # standard deviation of grey values, in levels of 0..255
_TINY = 16  # pixels of the shorter side
_ODD_SIZE = 4.0  # times the median of the side of a square of the same area, or a part of it
_ODD_SHAPE = 2.0  # times the median of longer side / shorter side
_ODD_RATIO = 4.0  # times the median of width / height: a photo on its side among panoramas
_UNEVEN, _VERY_UNEVEN = 3.0, 10.0  # images of the largest class / of the smallest

_GREY = 2  # levels by which red, green and blue may differ in grey: JPEG rounds
_MOST, _MANY = 0.5, 20  # of so many images or more, a fault of so large a part is the data set's

# How severe each fault of a single image is, what it is, and how to mend it.
_QUALITY: dict[Fault, tuple[Severity, str, str]] = {
    "blurred": (
        "warning",
        "blurred, no edge in the image being sharp",
        "take sharper photos in place of {them}, or leave out what you cannot tell apart yourself",
    ),
    "dark": (
        "warning",
        "dark, even in the brightest parts",
        "brighten {them}, or leave out what you cannot tell apart yourself",
    ),
    "over-exposed": (
        "warning",
        "over-exposed, white nearly everywhere",
        "take darker photos in place of {them}, or leave out what you cannot tell apart yourself",
    ),
    "framed": (
        "note",
        "in an even frame or between two bars",
        "crop {them}, lest the frame be learned in place of the class",
    ),
    "low-information": (
        "note",
        "next to empty",
        "look at {them}, and leave out what shows nothing",
    ),
}

# What each kind of bad file is, and how to mend it.
_FAULTS = {
    "empty": ("empty (0 bytes)", "fetch or save {them} again"),
    "needs-package": (
        "HEIC, the format of phone photos, which needs one more package",
        f"{INSTALL_HEIF}, or save {{them}} as JPEG",
    ),
    "not-read": ("in a format that is not supported", "see the reason of each"),
    "not-an-image": (
        "not an image that can be read, whatever the name says",
        "check what {they}, and save {them} as PNG or JPEG or leave {them} out",
    ),
    "damaged": ("damaged or cut short, or in a rare format", "fetch or save {them} again"),
    "too-large": ("too large to be decoded safely", "scale {them} down"),
    "unreadable": ("unreadable", "see the reason of each"),
}


@dataclass(frozen=True)
class Finding:
    """One thing that was found.

    Attributes:
        kind: its name, such as "damaged", "near-duplicates" or "imbalance".
        severity: "error" (these files are set aside), "warning" or "note".
        sentence: what was found and how to mend it, on one line.
        files: the paths concerned, relative to the root of the data set.
        groups: paths that belong together, such as copies of one picture.
        details: numbers and names of this kind of finding, as plain JSON.
    """

    kind: str
    severity: Severity
    sentence: str
    files: tuple[str, ...] = ()
    groups: tuple[tuple[str, ...], ...] = ()
    details: dict[str, Any] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        """Return the finding as plain JSON."""
        return {
            "kind": self.kind,
            "severity": self.severity,
            "sentence": self.sentence,
            "files": list(self.files),
            "groups": [list(group) for group in self.groups],
            "details": self.details,
        }


def bad_files(files: ImageFiles, faults: Mapping[str, tuple[str, str]]) -> Iterator[Finding]:
    """Yield what was set aside before, then the bad files of each kind.

    Args:
        files: the data set before the audit.
        faults: for each bad file its kind of fault and the reason.
    """
    if files.set_aside:
        aside = {left_out.path: left_out.reason for left_out in files.set_aside}
        what = counted(len(aside), "file or folder was", "files or folders were")
        sentence = f"{what} set aside while searching for images; see the reason of each."
        # A text beside the images, such as their licence, is nothing to mend.
        texts = all(reason.startswith(NO_IMAGE_NAME) for reason in aside.values())
        severity: Severity = "note" if texts else "error"
        yield Finding("set-aside", severity, sentence, tuple(aside), details={"reasons": aside})
    for kind, (what, remedy) in _FAULTS.items():
        bad = {path: reason for path, (fault, reason) in faults.items() if fault == kind}
        if bad:
            sentence = (
                f"{counted(len(bad), 'file is', 'files are')} {what}, and set aside; "
                f"{remedy.format(them=_them(bad), they=_they(bad))}."
            )
            yield Finding(kind, "error", sentence, tuple(bad), details={"reasons": bad})


def blank_images(paths: Sequence[str], looks: Sequence[Look]) -> Iterator[Finding]:
    """Yield images that show nothing, or next to nothing."""
    spreads = np.array([look.spread for look in looks])
    blank = spreads < _BLANK
    nearly = (spreads < _NEARLY_BLANK) & ~blank
    for kind, what, chosen in (("blank", "blank", blank), ("near-blank", "nearly blank", nearly)):
        if chosen.any():
            named = _named(paths, chosen)
            images = counted(len(named), "image is", "images are")
            sentence = f"{images} {what}; look at {_them(named)}, and leave out what shows nothing."
            yield Finding(kind, "warning", sentence, named)


def image_quality(paths: Sequence[str], looks: Sequence[Look]) -> Iterator[Finding]:
    """Yield images that are blurred, dark, over-exposed, framed, or that show next to nothing.

    The worst come first, and `details["scores"]` says how strongly each has the fault, 0 to 1; see
    `lamplighter.auditing.quality`. What more than half of 20 images or more have is a property of
    the data set: it is told in one note that names no file. What is blank, nearly blank or tiny is
    told of elsewhere, and not here again.
    """
    judged = [
        (path, look.quality, look.quality.faults)
        for path, look in zip(paths, looks, strict=True)
        if look.spread >= _NEARLY_BLANK and min(look.width, look.height) >= _TINY
    ]
    for fault, (severity, what, remedy) in _QUALITY.items():
        scores = {path: q.score(fault) for path, q, faults in judged if fault in faults}
        if len(scores) > _MOST * len(judged) and len(judged) >= _MANY:
            sentence = (
                f"{len(scores):,} of {len(judged):,} images are {what}: a property of this data "
                "set; leave it where the photos to be classified are like that too."
            )
            counts = {"images": len(scores), "of": len(judged)}
            yield Finding(fault, "note", sentence, details=counts)
        elif scores:
            worst = dict(sorted(scores.items(), key=lambda item: -item[1]))
            sentence = (
                f"{counted(len(worst), 'image is', 'images are')} {what}; "
                f"{remedy.format(them=_them(worst))}."
            )
            yield Finding(fault, severity, sentence, tuple(worst), details={"scores": worst})


def grey_images(paths: Sequence[str], looks: Sequence[Look]) -> Iterator[Finding]:
    """Yield images without color where most others have some."""
    shown = np.array([look.spread >= _NEARLY_BLANK for look in looks], dtype=bool)
    if not shown.any():
        return
    colours = np.stack([look.colours for look in looks])  # (N, 8, 8, 3)
    grey = shown & (np.ptp(colours, axis=3).max(axis=(1, 2)) <= _GREY)
    if 0 < grey.sum() <= shown.sum() / 2:
        named = _named(paths, grey)
        sentence = (
            f"{counted(len(named), 'image is', 'images are')} grey among others in color; see that "
            "no class has more of them than another, or color is learned in place of the class."
        )
        yield Finding("grey", "note", sentence, named)


def odd_sizes(paths: Sequence[str], looks: Sequence[Look]) -> Iterator[Finding]:
    """Yield images that are tiny, and those of a size or shape far from the others'."""
    width = np.array([look.width for look in looks], dtype=np.float64)
    height = np.array([look.height for look in looks], dtype=np.float64)
    tiny = np.minimum(width, height) < _TINY
    if tiny.any():
        named = _named(paths, tiny)
        sentence = (
            f"{counted(len(named), 'image has', 'images have')} a side of less than "
            f"{_TINY} pixels; look at {_them(named)}, and use larger copies if there "
            "are some."
        )
        yield Finding("tiny", "warning", sentence, named)
    if not len(looks):
        return
    longer, shorter = np.maximum(width, height), np.minimum(width, height)
    odd = (
        _far(np.sqrt(width * height), _ODD_SIZE)
        | _far(longer / shorter, _ODD_SHAPE)
        | _far(width / height, _ODD_RATIO)
    ) & ~tiny
    if odd.any():
        named = _named(paths, odd)
        usual = f"{np.median(width):.0f} x {np.median(height):.0f}"
        sentence = (
            f"{counted(len(named), 'image has', 'images have')} a size or shape far "
            f"from the usual {usual}; look at what the network sees of "
            f"{_them(named)}, and choose how images are fitted."
        )
        sizes = {
            path: [look.width, look.height]
            for path, look, far in zip(paths, looks, odd, strict=True)
            if far
        }
        yield Finding("odd-sizes", "warning", sentence, named, details={"sizes": sizes})


def class_balance(files: ImageFiles, counts: NDArray[np.int64]) -> Iterator[Finding]:
    """Yield what is uneven or missing in the classes.

    Args:
        files: the usable files.
        counts: images of each class in each split, shape (K, S), of which the splits are those
            of `split_columns`.
    """
    columns, names = split_columns(files), files.class_names
    unlabelled = np.flatnonzero(files.labels < 0)
    if len(unlabelled) and names:
        what = counted(len(unlabelled), "image has", "images have")
        sentence = f"{what} no label; move each into the folder of its class."
        named = tuple(files.paths[i] for i in unlabelled)
        yield Finding("unlabelled", "note", sentence, named)
    total = counts.sum(axis=1)
    if len(names) == 1:
        yield _classes("one-class", "warning", names, "there is only one class: {}; add another.")
    absent = [name for name, count in zip(names, total, strict=True) if count == 0]
    if absent:
        text = "no image is left of {}; add some, or remove the class."
        yield _classes("no-images", "warning", absent, text)
    training = [place for place, split in enumerate(columns) if split in ("train", "")]
    learnt = counts[:, training].sum(axis=1)
    if training:
        yield from _training_classes(names, learnt, total)
    for place, split in enumerate(columns):
        missing = _named(names, (counts[:, place] == 0) & (learnt > 0))
        labelled = counts[:, place].any()  # else nothing is measured on it anyway
        if missing and labelled and split not in ("train", ""):
            text = (
                f"{split} has no image of {{}}; how well these are recognised cannot be measured."
            )
            finding = _classes("missing-from-split", "warning", missing, text)
            finding.details["split"] = split
            yield finding


def similar_names(names: Sequence[str]) -> Iterator[Finding]:
    """Yield class names that differ by case, spaces or Unicode form alone."""
    alike: dict[str, list[str]] = {}
    for name in names:
        composed = unicodedata.normalize("NFKC", name).casefold()
        visible = (c for c in composed if not c.isspace() and unicodedata.category(c) != "Cf")
        key = unicodedata.normalize("NFKC", "".join(visible))
        alike.setdefault(key, []).append(name)
    found = [group for group in alike.values() if len(group) > 1]
    if found:
        shown = "; ".join(" and ".join(map(repr, group)) for group in found)
        sentence = (
            f"class names that differ only by case, spaces or Unicode form: {shown}; "
            "give the images of one class one name."
        )
        yield Finding("similar-names", "warning", sentence, details={"classes": found})


def split_columns(files: ImageFiles) -> tuple[str, ...]:
    """Return the splits of `files` in order, "" (none given yet) last if some file has none."""
    return (*files.split_names, *([""] if "" in files.splits else []))


def _training_classes(
    names: Sequence[str], learnt: NDArray[np.int64], total: NDArray[np.int64]
) -> Iterator[Finding]:
    unseen = _named(names, (learnt == 0) & (total > 0))
    if unseen:
        text = (
            "training has no image of {}, which other splits have; add some, or the "
            "network cannot learn them."
        )
        yield _classes("never-trained", "warning", unseen, text)
    single = _named(names, learnt == 1)
    if single:
        text = "training has only one image of {}; add more, or remove the class."
        yield _classes("one-image", "warning", single, text)
    present = np.flatnonzero(learnt > 0)
    if len(present) < 2:
        return
    largest, smallest = (int(present[f(learnt[present])]) for f in (np.argmax, np.argmin))
    ratio = float(learnt[largest] / learnt[smallest])
    if ratio >= _UNEVEN:
        severity: Severity = "warning" if ratio >= _VERY_UNEVEN else "note"
        sentence = (
            f"the largest class ({names[largest]}, {learnt[largest]:,}) has "
            f"{ratio:.1f} times as many training images as the smallest "
            f"({names[smallest]}, {learnt[smallest]:,}); weight the classes, and "
            "look at macro-F1."
        )
        details = {"ratio": ratio, "largest": names[largest], "smallest": names[smallest]}
        yield Finding("imbalance", severity, sentence, details=details)


def _classes(kind: str, severity: Severity, names: Iterable[str], text: str) -> Finding:
    listed = list(names)
    shown = ", ".join(listed[:6])
    if len(listed) > 6:
        shown += f" and {counted(len(listed) - 6, 'class', 'classes')} more"
    return Finding(kind, severity, text.format(shown), details={"classes": listed})


def _they(things: Collection[str]) -> str:
    return "it is" if len(things) == 1 else "they are"


def _them(things: Collection[str]) -> str:
    return "it" if len(things) == 1 else "them"


def _far(values: NDArray[np.float64], factor: float) -> NDArray[np.bool_]:
    median = np.median(values)
    far: NDArray[np.bool_] = (values > factor * median) | (values * factor < median)
    return far


def _named(paths: Sequence[str], chosen: NDArray[np.bool_]) -> tuple[str, ...]:
    return tuple(path for path, wanted in zip(paths, chosen, strict=True) if wanted)
