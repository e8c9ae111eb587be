"""New images for a class: the folder in which they are read as such, and their files."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import TYPE_CHECKING

from lamplighter.datasets.layout import understand
from lamplighter.datasets.recordings import frame_name, is_recording
from lamplighter.datasets.zipped_images import is_zip
from lamplighter.errors import DatasetError, ImageError, OutputError, WorkspaceError
from lamplighter.files.naming import clean_name, shown
from lamplighter.files.writing import written_new
from lamplighter.images.decoding import open_image

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from lamplighter.datasets.files import ImageFiles

    Parts = tuple[str, ...]

_JPEG = b"\xff\xd8\xff"
_INTO_NEW = "collect into a new folder instead"
_MOST_BESIDE = 3  # other classes whose folders are taken for an example


def class_folder(
    files: ImageFiles | None,
    source: Path,
    names: Sequence[str],
    *,
    split: str | None = None,
) -> str:
    """Return the folder, relative to the root, in which a new image is read as of a class.

    It need not be there. The reader of folders itself is asked what it would make of such an image,
    and of all others beside it: where anything else would change, there is no such folder.

    Args:
        files: what is in the source, as `find_files` has it; None where nothing is yet.
        source: the folder that new images are to go to.
        names: what the class is called in folders; of several, the first that has images.
        split: the one that the image is to be in; by default "train", where there are splits.

    Raises:
        WorkspaceError: there is no folder that would be read so.
    """
    name = names[0]
    if source.exists() and not source.is_dir():
        what = "a zip file" if is_zip(source) else "a list of files"
        raise WorkspaceError(f"{shown(source)} is {what}, which takes no images; {_INTO_NEW}.")
    if files is None or not len(files):
        return _checked([], [], (name,), name, "", source)
    given = [tuple(path.split("/")) for path in files.paths]
    before = understand(given, str(source))
    if (files.labels >= 0).any() and not any(before.classes):
        raise WorkspaceError(
            f"the labels of {shown(source)} stand in a table beside the images, which says nothing "
            f"of new ones; {_INTO_NEW}."
        )
    places = list(zip(before.splits, before.classes, strict=True))
    wanted = _split_for(before.splits, split, source)
    error: WorkspaceError | None = None
    for candidate, called in _candidates(given, places, names, wanted):
        try:
            return _checked(given, places, candidate, called, wanted, source)
        except WorkspaceError as refused:
            error = error or refused
    assert error is not None  # there is one candidate or more
    raise error


def write_frame(folder: Path, recording: str, number: int, data: bytes) -> Path:
    """Write a frame of a recording into a new file of `folder`, and return its path.

    Args:
        folder: made where it is not there.
        recording: what `new_recording` gave.
        number: of the frame, 1 or more.
        data: a JPEG file.

    Raises:
        ImageError: it is no whole JPEG.
        OutputError: it cannot be written, or is there already.
    """
    if not is_recording(recording) or number < 1:
        raise OutputError(f"{shown(recording)}, {number} is no frame of a recording.")
    if not data.startswith(_JPEG):
        raise ImageError("a frame must be a JPEG, received something else.", fault="not-an-image")
    open_image(data)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(
            f"{shown(folder)} cannot be made: {error.strerror or error}; make the folder above it "
            "writable, or free some space."
        ) from error
    path = folder / frame_name(recording, number)
    with written_new(path) as file:
        file.write(data)
    return path


def _split_for(splits: Sequence[str], split: str | None, source: Path) -> str:
    """Return the split that new images go to, "" where there are none."""
    known = sorted(set(splits) - {""})
    if split is not None and split not in known and (split or known):
        raise WorkspaceError(
            f"{shown(source)} has no split {split!r}, it has {', '.join(known) or 'none'}."
        )
    if split is not None or not known:
        return split or ""
    return "train" if "train" in known else known[0]


def _candidates(
    given: Sequence[Parts],
    places: Sequence[tuple[str, str]],
    names: Sequence[str],
    split: str,
) -> Iterator[tuple[Parts, str]]:
    """Yield folders that may be read so, each with the class it would be of; likely ones first."""
    seen: set[Parts] = set()
    for name in names:
        for path, place in zip(given, places, strict=True):
            if place != (split, name):
                continue
            for depth in range(1, len(path)):
                if path[:depth] not in seen:
                    seen.add(path[:depth])
                    yield path[:depth], name
            break
    name = names[0]
    # As beside it: the folder of another class in the same split, under the name of this one.
    beside: dict[str, Parts] = {}
    for path, (other_split, other) in zip(given, places, strict=True):
        if other_split == split and other:
            beside.setdefault(other, path)
    for other, path in itertools.islice(beside.items(), _MOST_BESIDE):
        for depth, folder in enumerate(path[:-1]):
            if clean_name(folder) == other:
                yield (*path[:depth], name), name
                if len(path) > depth + 2:  # cats/train/1.jpg
                    yield (*path[:depth], name, path[depth + 1]), name
    yield (name,), name


def _checked(
    given: Sequence[Parts],
    places: Sequence[tuple[str, str]],
    folder: Parts,
    name: str,
    split: str,
    source: Path,
) -> str:
    """Return `folder` as a path, if an image in it is read so and all others are as before."""
    try:
        after = understand([*given, (*folder, "1.jpg")], str(source))
    except DatasetError as error:
        raise _not_read(name, source, str(error)) from error
    found = list(zip(after.splits, after.classes, strict=True))
    if found[-1] != (split, clean_name(name)):
        read = " ".join(filter(None, found[-1])) or "without a label"
        raise _not_read(name, source, f"they would be read as {read}")
    if found[:-1] != list(places):
        raise _not_read(name, source, "others would be read otherwise beside them")
    return "/".join(folder)


def _not_read(name: str, source: Path, reason: str) -> WorkspaceError:
    return WorkspaceError(
        f"images of the class {shown(name)} cannot be put into {shown(source)}: "
        f"{reason.rstrip('.')}; choose another name, or {_INTO_NEW}."
    )
