"""The data that a command names: mnist, emoji, or photos of one's own."""

from __future__ import annotations

import contextlib
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from lamplighter.cli.terminal import bar, printable
from lamplighter.names import either, near_names, near_paths

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from lamplighter.datasets.files import ImageFiles, SetAside
    from lamplighter.datasets.image_data import ImageData
    from lamplighter.images.preprocessing import Preprocessing

NAMED = ("mnist", "emoji")  # what comes with the package
_MEGABYTE = 1_000_000
_SHOWN = 20  # files set aside that are named one by one


def is_named(name: str) -> bool:
    """Return whether the data comes with the package; else it is a folder, a zip or a CSV file.

    Raises:
        typer.BadParameter: it is neither.
    """
    if name in NAMED:
        return True
    try:
        there = Path(name).exists()
    except OSError:  # a name too long
        there = False
    if not there:
        meant = dict.fromkeys([*near_names(name, NAMED), *near_paths(name)])
        raise typer.BadParameter(
            f"the data must be {' or '.join(NAMED)}, or an existing folder, zip or "
            f"CSV file, received {name!r}" + (f"; did you mean {either(meant)}?" if meant else ".")
        )
    return False


def found_files(data: str | Path, *, group: str | None = None) -> ImageFiles:
    """Return the files of a folder, zip or CSV file, with a bar while a zip file is unpacked.

    Raises:
        DatasetError: the files cannot be used.
        OutputError: a zip file cannot be unpacked.
    """
    from lamplighter.datasets.folders import find_files
    from lamplighter.datasets.zipped_images import is_zip

    if not is_zip(data):
        return find_files(data, group=group)
    with unpacking() as progress:
        return find_files(data, group=group, progress=progress)


@contextlib.contextmanager
def unpacking() -> Iterator[Callable[[int, int | None], None] | None]:
    """Give what draws a bar while a zip file is unpacked, to be told (bytes, of how many)."""
    with bar("unpacking", "MB") as tell:
        if tell is None:
            yield None
            return

        def megabytes(done: int, total: int | None) -> None:
            tell(done // _MEGABYTE, (total or done) // _MEGABYTE)

        yield megabytes


def named_data(name: str, preprocessing: Preprocessing | None = None) -> ImageData:
    """Return the data set that comes with the package under this name.

    Args:
        name: one of `NAMED`.
        preprocessing: how emoji become the network's input; MNIST has its own.
    """
    from lamplighter.datasets.image_data import ImageData

    if name == "mnist":
        return ImageData.mnist()
    return ImageData.emoji(preprocessing)


def classes_of(data: str, files: ImageFiles | None) -> list[str]:
    """Return the names of the classes that have images, before any image is read.

    Args:
        data: one of `NAMED`, or a folder, zip or CSV file.
        files: those of the folder or CSV file.
    """
    if files is not None:
        return [files.class_names[index] for index in sorted(set(files.labels)) if index >= 0]
    if data == "mnist":
        from lamplighter.datasets.mnist import MNIST_CLASSES

        return list(MNIST_CLASSES)
    from lamplighter.datasets.emoji import emoji_classes

    return emoji_classes()


def split_files(data: str, split: str | None) -> tuple[ImageFiles, str]:
    """Return the files of the split that is asked for, and its name.

    Args:
        data: a folder, zip or CSV file.
        split: its name; None means test, or all files where there are no splits.

    Raises:
        DatasetError: the files cannot be used.
        UnknownSplitError: there is no such split.
    """
    files = found_files(data)
    for note in files.notes:
        say(f"note: {note}")
    if split is None and not files.split_names:
        return files.as_split("all"), "all"
    chosen = split or "test"
    return files.split(chosen), chosen


def split_of(data: str, split: str | None, preprocessing: Preprocessing) -> tuple[ImageData, str]:
    """Return the images of the split that is asked for as a network sees them, and its name.

    Args:
        data: one of `NAMED`, or a folder, zip or CSV file.
        split: its name; None means test, or all files where there are no splits.
        preprocessing: how images become the network's input.

    Raises:
        typer.BadParameter: there is no such data.
        DatasetError: the files cannot be used.
        UnknownSplitError: there is no such split.
    """
    if is_named(data):
        return named_data(data, preprocessing), split or "test"
    files, chosen = split_files(data, split)
    return pixels_of(files, preprocessing), chosen


def pixels_of(files: ImageFiles, preprocessing: Preprocessing) -> ImageData:
    """Return the pixels of files, with a bar while they are read; bad ones are named on stderr.

    Raises:
        DatasetError: none can be used, or the memory does not suffice.
    """
    from lamplighter.datasets.image_data import load_images
    from lamplighter.datasets.loading import check_memory

    check_memory(len(files), preprocessing)
    with bar("reading") as progress:
        images = load_images(files, preprocessing, progress=progress)
    say_set_aside(images.set_aside)
    return images


def say_set_aside(left_out: Sequence[SetAside]) -> None:
    """Name on stderr the files that are left out, the first ones where they are many."""
    from lamplighter.datasets.files import named

    for line in named(left_out, _SHOWN):
        say(line)


def say(line: str) -> None:
    """Write a note on stderr."""
    sys.stderr.write(printable(line) + "\n")
    sys.stderr.flush()
