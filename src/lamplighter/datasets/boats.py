"""Photos of boats in Venice, downloaded: the data set of the second lab.

D. D. Bloisi, L. Iocchi, A. Pennisi, L. Tombolini, "ARGOS-Venice Boat Classification", AVSS 2015
(MarDCT). For research use; nothing of it comes with the package.
"""

from __future__ import annotations

import hashlib
import shutil
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from lamplighter.datasets.downloads import download
from lamplighter.datasets.split_names import split_name
from lamplighter.errors import DatasetError, OutputError
from lamplighter.files.folders import check_new_folder, new_folder
from lamplighter.files.naming import IMAGE_SUFFIXES
from lamplighter.files.unzipping import ZipSource

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

BOATS_URL = "https://artist-cloud.ecs.soton.ac.uk/index.php/s/eAhIkhhdxgmhRHj/download"
_AGAIN = "check the address, and run the same command again, which fetches it anew."


@dataclass(frozen=True)
class Fetched:
    """What was downloaded.

    Attributes:
        sha256: of the archive, 64 hexadecimal digits.
        images: how many images there are in each split.
        classes: how many classes.
    """

    sha256: str
    images: dict[str, int]
    classes: int


def fetch_boats(
    folder: str | Path,
    url: str = BOATS_URL,
    *,
    sha256: str | None = None,
    progress: Callable[[str, int, int | None], None] | None = None,
) -> Fetched:
    """Download the photos and unpack them as `folder`/SPLIT/CLASS/NAME.jpg.

    The archive lies in a folder beside, FOLDER.download, until all is done; a call that broke
    off goes on with what is there. `folder` appears when it is complete.

    Args:
        folder: a new or an empty folder.
        url: where the archive is: a zip file of train, valid (or val) and test.
        sha256: what the archive must have; by default it is not compared.
        progress: told what is being done, how many bytes are done, and of how many.

    Raises:
        DownloadError: the archive cannot be fetched.
        DatasetError: it is damaged, not a set of images in splits, or has another SHA-256; it is
            then removed, so that the next call fetches it anew.
        OutputError: `folder` has anything in it already, or cannot be written.
    """
    target = check_new_folder(folder)
    work = target.with_name(target.name + ".download")
    archive = download(url, work, progress=_stage(progress, "downloading"))
    try:
        checksum = _checksum(archive)
        if sha256 is not None and checksum != sha256.strip().lower():
            raise DatasetError(
                f"the download must have the SHA-256 {sha256}, received {checksum}; run the same "
                "command again, or check where it comes from."
            )
        source = ZipSource(archive, "the download", _AGAIN, as_systems_write=False)
        names = source.checked(source.listing().entries)
        top = _top(names)
        fetched = _counted(names, top, checksum)
        with new_folder(target) as new:
            source.unpack(
                new,
                names,
                rename=lambda path: path.relative_to(top) if path.is_relative_to(top) else path,
                progress=_stage(progress, "unpacking"),
            )
    except DatasetError:
        shutil.rmtree(work, ignore_errors=True)
        raise
    shutil.rmtree(work, ignore_errors=True)
    return fetched


def _stage(
    progress: Callable[[str, int, int | None], None] | None, name: str
) -> Callable[[int, int | None], None] | None:
    return None if progress is None else lambda done, total: progress(name, done, total)


def _checksum(archive: Path) -> str:
    try:
        with archive.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise OutputError(f"{archive} cannot be read: {error.strerror or error}.") from error


def _top(names: Iterable[PurePosixPath]) -> PurePosixPath:
    """Return the folder of the archive that the splits are in."""
    for path in sorted(names):
        for depth, part in enumerate(path.parts[:-2]):
            if split_name(part) == "train":
                return PurePosixPath(*path.parts[:depth])
    raise DatasetError(
        "the archive must have folders train, valid and test with a folder for each class in "
        "them, received one without train; check the address."
    )


def _counted(names: Iterable[PurePosixPath], top: PurePosixPath, checksum: str) -> Fetched:
    """Count the images of each split, all of which must be there."""
    images: Counter[str] = Counter()
    classes = set()
    for path in names:
        with suppress(ValueError):  # it lies elsewhere
            split, *folders, _ = path.relative_to(top).parts
            if split_name(split) and len(folders) == 1 and path.suffix.lower() in IMAGE_SUFFIXES:
                images[split_name(split)] += 1
                classes.add(folders[0])
    missing = [name for name in ("train", "val", "test") if not images[name]]
    if missing or len(classes) < 2:
        raise DatasetError(
            "the archive must have images of two classes or more in train, valid and test, "
            f"received {len(classes)} classes and none in {', '.join(missing) or 'no split'}; "
            "check the address."
        )
    return Fetched(checksum, dict(images), len(classes))
