"""The images that `train` learns from: found, audited and split."""

from __future__ import annotations

import csv
import io
import re
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from lamplighter.cli.data_arguments import (
    found_files,
    is_named,
    named_data,
    pixels_of,
    say,
    say_set_aside,
)
from lamplighter.cli.terminal import bar

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lamplighter.cli.train_settings import Settings
    from lamplighter.datasets.files import ImageFiles
    from lamplighter.datasets.image_data import ImageData

SIZE = 64  # pixels, where no size is asked for
VALIDATION = 0.15  # share of the photos, where no share is asked for
_TEST = 0.15
SPLITS = "splits.csv"


@dataclass(frozen=True)
class Lesson:
    """What is to be learned from.

    Attributes:
        images: the pixels, in splits.
        files: the files behind them; None for data that comes with the package.
        made: whether the splits were made here, so that only `splits.csv` knows them.
    """

    images: ImageData
    files: ImageFiles | None = None
    made: bool = False

    def write_splits(self, folder: Path) -> None:
        """Write which file is in which split to `splits.csv` in `folder`.

        Raises:
            OutputError: it cannot be written.
        """
        if self.files is not None:
            write_splits(self.files, folder)

    def source(self, data: str, folder: Path) -> str:
        """Return where `evaluate` finds the images that were held out."""
        return str(folder / SPLITS) if self.made else data


def write_splits(files: ImageFiles, folder: Path) -> None:
    """Write which file is in which split to `splits.csv` in `folder`.

    Raises:
        OutputError: it cannot be written.
    """
    from lamplighter.files.naming import lasting
    from lamplighter.files.writing import written_whole

    text = io.StringIO(newline="")
    writer = csv.writer(text)
    writer.writerow(["path", "label", "split", "group"])
    given, root = files.root.absolute(), files.root.resolve()
    for path, label, split, group in zip(
        files.paths, files.labels, files.splits, files.groups, strict=True
    ):
        name = files.class_names[label] if label >= 0 else ""
        later = lasting(given / path)  # what is in the cache may be gone tomorrow
        place = root / path if later == given / path else later
        writer.writerow([place.as_posix(), name, split, group])
    with written_whole(folder / SPLITS) as file:
        file.write(text.getvalue().encode("utf-8", "surrogateescape"))


def parsed_size(text: str | None) -> str | None:
    """Return `text`, if it is a size as users write it: 64, or 96x128 for height x width.

    Raises:
        typer.BadParameter: it is not.
    """
    if text is not None:
        _height_width(text)
    return text


def learned_from(manifest: Path, splits: Sequence[str] = ("train",)) -> set[str]:
    """Return the full paths of the images in these splits of the `splits.csv` of a training.

    None where it cannot be read, since a warning alone hangs on it. Paths that lead through a zip
    file stay as they are: nothing is unpacked for a warning.
    """
    try:
        with manifest.open(encoding="utf-8", errors="surrogateescape", newline="") as file:
            rows = [row for row in csv.DictReader(file) if row["split"] in splits]
        return {str(Path(row["path"]).resolve()) for row in rows}
    except (OSError, ValueError, KeyError, TypeError, csv.Error):
        return set()


def read(settings: Settings, folder: Path, *, resume: bool, audit: bool) -> Lesson:
    """Return the data of a training: audited, in splits, in memory.

    Args:
        settings: what is asked for.
        folder: of the training; where it is resumed, its splits are taken from there.
        resume: whether it is.
        audit: whether to look for bad files, copies and the like.

    Raises:
        DatasetError: there is nothing to learn from, or the memory does not suffice.
    """
    if is_named(settings.data):
        return Lesson(_named(settings))
    from lamplighter.datasets.folders import find_files
    from lamplighter.datasets.loading import preprocessing_for
    from lamplighter.datasets.scenes import scene_notes
    from lamplighter.datasets.splitting import check_classes

    made = False
    if resume and (folder / SPLITS).is_file():
        files = replace(find_files(folder / SPLITS), name=_name(settings.data))
        made = not _has_test(found_files(settings.data))
    else:
        files = found_files(settings.data, group=settings.group)
        if not audit:
            files = replace(files, notes=(*files.notes, *scene_notes(files)))
        files, made = _in_splits(
            _audited(files, settings) if audit else files, settings, audited=audit
        )
    say_set_aside(files.set_aside)
    check_classes(files)
    height_width = _height_width(settings.size or str(SIZE))
    preprocessing = preprocessing_for(files, height_width, settings.fit or "squash")
    images = pixels_of(replace(files, set_aside=()), preprocessing)
    if files.split_names and images.set_aside:
        files = files.setting_aside({file.path: file.reason for file in images.set_aside})
    return Lesson(images, files, made)


def _named(settings: Settings) -> ImageData:
    if settings.data == "mnist":
        for option in ("size", "fit", "group"):
            if getattr(settings, option) is not None:
                raise typer.BadParameter(
                    f"--{option} is for photos, received mnist, which has its own; leave it out."
                )
        images = named_data("mnist")
    else:
        from lamplighter.images.preprocessing import Preprocessing

        if settings.fit == "full":
            raise typer.BadParameter(
                "--fit full is for files of different sizes, received emoji, which "
                "have one size; choose another fit."
            )
        height, width = _height_width(settings.size or str(SIZE))
        fit = settings.fit or "squash"
        images = named_data("emoji", Preprocessing(height=height, width=width, fit=fit))
    if settings.validation and "val" not in images:
        images = images.hold_out(settings.validation, seed=settings.seed)
    return images


def _audited(files: ImageFiles, settings: Settings) -> ImageFiles:
    """Return the usable files, with what is wrong said on stderr, and near-copies grouped."""
    from lamplighter.auditing.audit import audit
    from lamplighter.datasets.splitting import all_shared_out

    with bar("auditing") as progress:
        found = audit(files, progress=progress)
    for finding in found.findings:
        say(f"audit: {finding.severity}: {finding.sentence}")
    # Near-copies that are still to be shared out are kept on one side.
    there = all_shared_out(found.usable, val=settings.validation, test=_TEST)
    return found.usable if there else found.grouped


def _in_splits(files: ImageFiles, settings: Settings, *, audited: bool) -> tuple[ImageFiles, bool]:
    """Return the files, each in a split, and whether test files were chosen here."""
    from lamplighter.datasets.splitting import assign_splits

    divided = assign_splits(files, val=settings.validation, test=_TEST, seed=settings.seed)
    # An audit has said of splits that were there what they lack.
    there = audited and divided.splits == files.splits
    for note in files.notes if there else divided.notes:
        say(f"note: {note}")
    return divided, not _has_test(files)


def _has_test(files: ImageFiles) -> bool:
    """Return whether there are test images with labels; others are nothing to be tested on."""
    return any(
        split == "test" and label >= 0
        for split, label in zip(files.splits, files.labels, strict=True)
    )


def _name(data: str) -> str:
    return Path(data).resolve().stem


def _height_width(text: str) -> tuple[int, int]:
    found = re.fullmatch(r"\s*(\d{1,5})(?:\s*[xX]\s*(\d{1,5}))?\s*", text)
    height, width = (int(found[1]), int(found[2] or found[1])) if found else (0, 0)
    if min(height, width) < 1:
        raise typer.BadParameter(
            "the size must be a number of pixels, such as 64, or height x width, "
            f"such as 96x128, received {text!r}."
        )
    return height, width
