"""From files to pixels in memory: on every core, and no bad file stops the others."""

from __future__ import annotations

from collections import Counter
from concurrent.futures import ThreadPoolExecutor, as_completed
from typing import TYPE_CHECKING, Literal

import numpy as np

from lamplighter.datasets.splitting import UNLABELLED
from lamplighter.errors import DatasetError, ImageError
from lamplighter.files.naming import shown
from lamplighter.images.decoding import image_size, reason_alone
from lamplighter.images.preprocessing import Preprocessing
from lamplighter.machine import free_memory, usable_cores

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from lamplighter.datasets.files import ImageFiles, Progress, SetAside
    from lamplighter.images.preprocessing import Fit

_SHARE = 0.5  # of the free memory for pixels, since training takes some too
_CHUNK = 16  # files that a thread takes at once


def read_splits(
    files: ImageFiles, preprocessing: Preprocessing, *, progress: Progress | None = None
) -> tuple[ImageFiles, dict[str, NDArray[np.uint8]]]:
    """Return the files that can be used, and for each split their pixels, shape (N, C, H, W).

    A file that cannot be read, or has no label, is set aside.

    Args:
        files: the files, each in a split.
        preprocessing: how an image becomes uint8 pixels of shape (C, H, W).
        progress: told how many files have been read, and of how many.

    Raises:
        DatasetError: files have no split, none can be read, or the memory does not suffice.
    """
    if "" in files.splits:
        raise DatasetError(
            f"each file of {files.name} needs a split, received {files.splits.count('')} "
            "without one; use lamplighter.datasets.splitting.assign_splits first."
        )
    before = len(files.set_aside)
    without = [files.paths[index] for index in np.flatnonzero(files.labels < 0)]
    files = files.setting_aside(dict.fromkeys(without, UNLABELLED))
    pixels, failures = _read(files, preprocessing, progress)
    files = files.setting_aside(failures)
    if not len(files):
        raise DatasetError(
            f"no file of {files.name} can be used: {_first(files.set_aside[before:])}"
        )
    return files, pixels


def check_memory(count: int, preprocessing: Preprocessing) -> None:
    """Refuse to take more than half of the free memory for pixels.

    Args:
        count: N, how many images.
        preprocessing: to which size they are brought.

    Raises:
        DatasetError: they need more.
    """
    free = free_memory()
    height, width, channels = preprocessing.height, preprocessing.width, preprocessing.channels
    needed = count * channels * height * width
    if free is None or needed <= _SHARE * free:
        return
    smaller = int((_SHARE * free / (count * channels) * width / height) ** 0.5 * height / width)
    raise DatasetError(
        f"the pixels must fit into half of the free memory, {_SHARE * free / 1e9:.1f} GB, but "
        f"{count:,} images of {height} x {width} pixels and {channels} channels need "
        f"{needed / 1e9:.1f} GB; choose a smaller size, such as "
        f"{max(1, smaller)} x {max(1, smaller * width // height)}."
    )


def preprocessing_for(
    files: ImageFiles,
    size: int | tuple[int, int] | None,
    fit: Fit | Literal["full"] = "squash",
    *,
    channels: int = 3,
) -> Preprocessing:
    """Return a preprocessing for `files`, scaled to -1..1 (mean and std 0.5).

    Args:
        files: the images.
        size: side of a square or (height, width), in pixels; not looked at where fit is "full".
        fit: what happens to images of another aspect ratio; "full" takes the commonest size of
            the images and squashes the others to it.
        channels: 1 (grey) or 3 (RGB).

    Raises:
        DatasetError: there is no size, or no image can be read.
        DataError: size, fit or channels are out of range.
    """
    if fit == "full":
        height, width = full_size(files)
        fit = "squash"
    elif size is None:
        raise DatasetError(f"fit {fit!r} needs a size, received none; give one or fit='full'.")
    else:
        height, width = (size, size) if isinstance(size, int) else size
    half = (0.5,) * channels
    return Preprocessing(
        height=height, width=width, channels=channels, mean=half, std=half, fit=fit
    )


def full_size(files: ImageFiles) -> tuple[int, int]:
    """Return the commonest (height, width) of the images, upright; only headers are read.

    Raises:
        DatasetError: no image can be read.
    """
    paths = files.files
    sizes: list[tuple[int, int] | None] = [None] * len(paths)
    failures: dict[int, str] = {}

    def read(index: int) -> None:
        try:
            sizes[index] = image_size(paths[index])
        except ImageError as error:
            failures[index] = str(error)

    each_file(read, len(paths))
    counted = Counter(size for size in sizes if size is not None)
    if not counted:
        reason = failures[min(failures)] if failures else "there is none."
        raise DatasetError(f"no image of {files.name} can be read: {reason}")
    (width, height), _ = counted.most_common(1)[0]
    return height, width


def each_file(
    function: Callable[[int], None], count: int, *, progress: Progress | None = None
) -> None:
    """Call `function` with 0..count-1, on as many threads as there are cores.

    Decoding and resizing in Pillow let other threads run. What `function` raises ends the whole,
    and so does Ctrl-C, without waiting for more than the images in work.

    Args:
        function: called from several threads, in no order.
        count: how many times.
        progress: told from this thread how many calls are done, and of how many.
    """
    stopped = False

    def work(start: int) -> int:
        nonlocal stopped
        indices = range(start, min(start + _CHUNK, count))
        try:
            for index in indices:
                if stopped:
                    break
                function(index)
        except BaseException:
            stopped = True
            raise
        return len(indices)

    executor = ThreadPoolExecutor(usable_cores(), thread_name_prefix="lamplighter-read")
    try:
        futures = [executor.submit(work, start) for start in range(0, count, _CHUNK)]
        done = 0
        for future in as_completed(futures):
            done += future.result()
            if progress is not None:
                progress(done, count)
    finally:
        stopped = True
        executor.shutdown(cancel_futures=True)


def _read(
    files: ImageFiles, preprocessing: Preprocessing, progress: Progress | None
) -> tuple[dict[str, NDArray[np.uint8]], dict[str, str]]:
    """Return the pixels of each split, (N, C, H, W), and the files that failed with reasons."""
    shape = (preprocessing.channels, preprocessing.height, preprocessing.width)
    sizes = Counter(files.splits)
    check_memory(len(files), preprocessing)
    try:
        pixels = {name: np.empty((count, *shape), np.uint8) for name, count in sizes.items()}
    except MemoryError as error:
        raise DatasetError(
            f"the images do not fit into memory ({error}); choose a smaller size."
        ) from error
    seen: Counter[str] = Counter()
    rows = []  # of each file, its place in the array of its split
    for split in files.splits:
        rows.append(seen[split])
        seen[split] += 1
    paths = files.files
    reasons: list[str | None] = [None] * len(files)

    def read(index: int) -> None:
        try:
            image = preprocessing.open(paths[index])
            pixels[files.splits[index]][rows[index]] = preprocessing.pixels(image)
        except ImageError as error:
            reasons[index] = reason_alone(error, paths[index])

    each_file(read, len(files), progress=progress)
    failed = {index: reason for index, reason in enumerate(reasons) if reason is not None}
    kept = {name: _closed_up(array, files, rows, name, failed) for name, array in pixels.items()}
    return kept, {files.paths[index]: reason for index, reason in failed.items()}


def _closed_up(
    array: NDArray[np.uint8],
    files: ImageFiles,
    rows: Sequence[int],
    name: str,
    failed: dict[int, str],
) -> NDArray[np.uint8]:
    """Return `array` without the rows of files that failed, moved together where they lie."""
    gone = {rows[index] for index in failed if files.splits[index] == name}
    if not gone:
        return array
    kept = [row for row in range(len(array)) if row not in gone]
    for place, row in enumerate(kept):
        array[place] = array[row]
    return array[: len(kept)]


def class_order(files: ImageFiles) -> tuple[list[str], int]:
    """Return the names of the classes that have images, and how many have training images."""
    present = {files.class_names[label] for label in np.unique(files.labels)}
    in_train = np.array([split == "train" for split in files.splits], dtype=bool)
    trained = {files.class_names[label] for label in np.unique(files.labels[in_train])}
    if not trained:
        return sorted(present), len(present)
    return sorted(trained) + sorted(present - trained), len(trained)


def _first(set_aside: Sequence[SetAside]) -> str:
    return f"{shown(set_aside[0].path)} {set_aside[0].reason}" if set_aside else "there is none."
