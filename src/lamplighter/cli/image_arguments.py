"""The images that a command is given: files, folders, zip files, patterns, standard input."""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from lamplighter.cli.data_arguments import say, unpacking
from lamplighter.errors import DatasetError, ImageError
from lamplighter.text import counted

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from lamplighter.datasets.files import SetAside

STDIN = "-"
_MOST_STDIN = 2**28  # bytes: more is neither a list of files nor a photo
# What image files begin with; no list of paths does.
_SIGNATURES = (b"\xff\xd8\xff", b"\x89PNG", b"GIF87a", b"GIF89a", b"II*\0", b"MM\0*", b"\xff\x0a")


@dataclass(frozen=True)
class GivenImage:
    """One image that was asked for.

    Attributes:
        name: what it is called in the output: its path as it was given, or found.
        image: its file, or the bytes in it; or why there is none.
    """

    name: str
    image: str | bytes | ImageError

    def explained(self, error: ImageError) -> ImageError:
        """Return `error` with the name of the image in place of that of its file."""
        from lamplighter.images.decoding import reason_alone

        if not isinstance(self.image, str) or self.image == self.name:
            return error
        return ImageError(f"{self.name} {reason_alone(error, self.image)}", fault=error.fault)


def given_images(
    arguments: Sequence[str], *, recursive: bool = False, null: bool = False
) -> list[GivenImage]:
    """Return the images that `arguments` name, in their order.

    A folder stands for the images in it, and with `recursive` in its folders too; a zip file for
    all its images; a name with *, ? or [ that is no file for the files it matches; "-" for what
    comes on standard input: paths, one a line, or one image itself, told by its first bytes.

    Args:
        arguments: as the user wrote them.
        recursive: search subfolders too.
        null: paths on standard input end with a null character, as `find -print0` writes them.

    Raises:
        typer.BadParameter: "-" is given twice, or null without it.
        OutputError: a zip file cannot be unpacked into the cache.
    """
    if arguments.count(STDIN) > 1:
        raise typer.BadParameter("- is standard input, received more than one; give it once.")
    if null and STDIN not in arguments:
        raise typer.BadParameter("-0 is for paths on standard input; give - as well.")
    return [
        image
        for argument in arguments
        for image in (
            _from_stdin(null=null) if argument == STDIN else _named(argument, recursive=recursive)
        )
    ]


def _named(argument: str, *, recursive: bool) -> Iterator[GivenImage]:
    """Yield the images that one argument stands for."""
    if Path(argument).is_dir():
        yield from _in_folder(argument, recursive=recursive)
    elif argument.lower().endswith(".zip"):
        yield from _in_zip(argument)
    elif _is_pattern(argument):
        yield from _matching(argument, recursive=recursive)
    else:
        yield from _files([argument])


def _is_pattern(argument: str) -> bool:
    return any(sign in argument for sign in "*?[") and not os.path.lexists(argument)


def _matching(pattern: str, *, recursive: bool) -> Iterator[GivenImage]:
    """Yield the files that match; folders only where no file does."""
    import glob

    found = sorted(glob.glob(pattern, recursive=True))  # noqa: PTH207 - any path, as it is written
    found = [path for path in found if not Path(path).is_dir()] or found
    if not found:
        error = ImageError(f"no file matches {pattern!r}; check the name and folder.")
        yield GivenImage(pattern, error)
    for path in found:
        if _is_pattern(path):  # which vanished meanwhile
            yield GivenImage(path, path)
        else:
            yield from _named(path, recursive=recursive)


def _in_folder(folder: str, *, recursive: bool) -> Iterator[GivenImage]:
    from lamplighter.datasets.walking import walk

    try:
        paths, others, _ = walk(Path(folder), deepest=None if recursive else 0)
    except DatasetError as error:
        yield GivenImage(folder, ImageError(str(error)))
        return
    if not paths and not _photos(others):
        inside = not recursive and any(child.is_dir() for child in Path(folder).iterdir())
        mend = "-r also searches its subfolders" if inside else "name another folder"
        yield GivenImage(folder, ImageError(f"there is no image in the folder {folder}; {mend}."))
    yield from _listed(folder, Path(folder), paths, others)


def _in_zip(archive: str) -> Iterator[GivenImage]:
    from lamplighter.datasets.walking import walk
    from lamplighter.datasets.zipped_images import unpack_images

    try:
        with unpacking() as progress:
            unpacked = unpack_images(archive, progress=progress)
        paths, others, _ = walk(unpacked.folder)
    except DatasetError as error:
        yield GivenImage(archive, ImageError(str(error)))
        return
    for note in unpacked.notes:
        say(f"note: {note}")
    yield from _listed(archive, unpacked.folder, paths, [*others, *unpacked.left_out])


def _files(paths: Iterable[str]) -> Iterator[GivenImage]:
    """Yield one image for each path, which may lead through a zip file, as those printed do."""
    zips = None
    for path in paths:
        if ".zip" not in path.lower() or os.path.lexists(path):
            yield GivenImage(path, path)
            continue
        from lamplighter.datasets.zipped_images import ZipPaths

        zips = zips or ZipPaths()
        try:
            yield GivenImage(path, str(zips.real(path)))
        except DatasetError as error:
            yield GivenImage(path, ImageError(str(error)))


def _listed(
    name: str, root: Path, paths: Iterable[str], others: Sequence[SetAside]
) -> Iterator[GivenImage]:
    """Yield what was found below `root`, photos that are not read among them, in order of path."""
    reasons = {one.path: one.reason for one in _photos(others)}
    for path in sorted({*paths, *reasons}):
        shown = str(Path(name) / path)
        if path in reasons:
            yield GivenImage(shown, ImageError(f"{shown}: {reasons[path]}", fault="not-read"))
        else:
            yield GivenImage(shown, str(root / path))
    left = len(others) - len(reasons)
    if left:
        say(f"note: {counted(left, 'file')} in {name} skipped: not images by their names.")


def _photos(others: Iterable[SetAside]) -> list[SetAside]:
    """Return those that may be photos: all but what is no image by its name."""
    from lamplighter.images.formats import NO_IMAGE_NAME

    return [one for one in others if not one.reason.startswith(NO_IMAGE_NAME)]


def _from_stdin(*, null: bool) -> Iterator[GivenImage]:
    """Yield the image that comes on standard input, or the files whose paths do."""
    if sys.stdin.isatty():
        say("reading paths from the keyboard, one per line; end with Ctrl-D")
    content = sys.stdin.buffer.read(_MOST_STDIN + 1)
    if len(content) > _MOST_STDIN:
        error = ImageError(
            f"standard input must hold at most {_MOST_STDIN:,} bytes, received more; name files."
        )
        yield GivenImage(STDIN, error)
    elif not null and _is_image(content):
        yield GivenImage(STDIN, content)
    else:
        yield from _on_lines(content, null=null)


def _on_lines(content: bytes, *, null: bool) -> Iterator[GivenImage]:
    if not null and b"\0" in content:
        error = ImageError(
            "standard input must hold an image, or paths, one per line, received "
            "null characters; give -0 for paths that end with them."
        )
        yield GivenImage(STDIN, error)
        return
    lines = content.split(b"\0") if null else content.splitlines()
    paths = [os.fsdecode(line) for line in lines if line.strip()]
    if not paths:
        error = ImageError("standard input must hold an image or paths, received nothing.")
        yield GivenImage(STDIN, error)
    yield from _files(paths)


def _is_image(content: bytes) -> bool:
    """Return whether bytes begin as an image does; some formats say so a little later."""
    bitmap = content[:2] == b"BM" and content[6:10] == bytes(4)
    webp = content[:4] == b"RIFF" and content[8:12] == b"WEBP"
    return bitmap or webp or content.startswith(_SIGNATURES) or content[4:8] in (b"ftyp", b"JXL ")
