"""Labels written where other commands read them: as a manifest, or as a new folder."""

from __future__ import annotations

import csv
import io
import os
import shutil
import unicodedata
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, NamedTuple

from lamplighter.datasets.folders import scan_folder
from lamplighter.datasets.manifest import read_manifest
from lamplighter.errors import DatasetError, OutputError, WorkspaceError
from lamplighter.files.folders import check_new_folder, new_folder
from lamplighter.files.naming import clean_name, shown
from lamplighter.files.writing import check_target, written_whole
from lamplighter.text import listed

if TYPE_CHECKING:
    from collections.abc import Iterable

    from lamplighter.datasets.files import ImageFiles, Progress

_CHUNK = 1 << 20  # bytes


@dataclass(frozen=True)
class Applied:
    """Labels that were written.

    Attributes:
        path: the manifest or folder.
        images: how many files are in it.
        unlabelled: how many of them have no label.
        left_out: how many files are set aside, and not in it.
        classes: how many classes have files in it.
        notes: what it does not hold, one line each.
    """

    path: Path
    images: int
    unlabelled: int
    left_out: int
    classes: int
    notes: tuple[str, ...] = ()


class _Row(NamedTuple):
    """What is said of one file."""

    label: str
    split: str
    group: str


def write_manifest(files: ImageFiles, target: Path, *, source: Path, force: bool) -> Applied:
    """Write a CSV file with path, label, split and group of `files`, whole or not at all.

    Args:
        files: the files.
        target: the file; what ends with .tsv has tabs in place of commas.
        source: what the files were read from, which is never replaced.
        force: replace a file that is there.

    Raises:
        OutputError: it cannot be written, or is there already.
        WorkspaceError: what was written is not read back as it was.
    """
    place = check_target(target)
    if place == Path(os.path.realpath(source)):
        raise OutputError(
            f"{shown(target)} is what is worked on, and stays as it is; choose another name."
        )
    if place.exists() and not force:
        raise OutputError(
            f"{shown(target)} is there already; choose another name, or replace it by force."
        )
    rows = _rows(files)
    text = io.StringIO(newline="")
    # All in quotation marks: spaces at either end of a name stay.
    tabs = target.suffix.lower() == ".tsv"
    writer = csv.writer(text, delimiter="\t" if tabs else ",", quoting=csv.QUOTE_ALL)
    csv.writer(text, delimiter="\t" if tabs else ",").writerow(["path", "label", "split", "group"])
    paths = _written(place.parent, files.root, rows)
    writer.writerows([paths[path], *row] for path, row in rows.items())
    with written_whole(target) as file:
        file.write(_encoded(text.getvalue(), paths))
        file.flush()
        _check_manifest(Path(file.name), {paths[path]: row for path, row in rows.items()})
    return _applied(files, target)


def write_folder(
    files: ImageFiles, target: Path, *, source: Path, link: bool, progress: Progress | None
) -> Applied:
    """Write a new folder with copies of `files` in a folder for each class, whole or not at all.

    Args:
        files: the files.
        target: the folder, new or empty.
        source: what the files were read from.
        link: make hard links in place of copies.
        progress: told how many files are copied, and of how many.

    Raises:
        OutputError: it cannot be written, or is there already.
        WorkspaceError: what was written is not read back as it was, or a file cannot be read.
    """
    place = check_new_folder(target)
    root = Path(os.path.realpath(files.root))
    if place.is_relative_to(root):
        raise OutputError(
            f"{shown(target)} lies in {shown(source)}, where it would be read as photos; choose a "
            "place outside."
        )
    rows = _rows(files)
    places = _places(rows)
    with new_folder(target) as folder:
        made: set[str] = set()
        for number, (path, new) in enumerate(places.items()):
            above = new.rpartition("/")[0]
            if above not in made:
                _make(folder / above)
                made.add(above)
            _put(files.root / path, folder / new, link=link)
            if progress is not None:
                progress(number + 1, len(places))
        _check_folder(folder, {new: rows[path] for path, new in places.items()})
    notes = []
    if any(files.groups):
        notes.append("groups are not in folders; a manifest, NAME.csv, has them.")
    return _applied(files, target, notes)


def _rows(files: ImageFiles) -> dict[str, _Row]:
    if not len(files):
        raise WorkspaceError("there must be a file to write, received none: all are set aside.")
    names = [*files.class_names, ""]  # -1 is the last one
    columns = zip(files.paths, files.labels, files.splits, files.groups, strict=True)
    return {path: _Row(names[label], split, group) for path, label, split, group in columns}


def _applied(files: ImageFiles, target: Path, notes: Iterable[str] = ()) -> Applied:
    present = files.classes_present()
    empty = [shown(name) for name in files.class_names if name not in present]
    more = [f"classes without a file are not in it: {listed(empty)}."] if empty else []
    return Applied(
        path=target,
        images=len(files),
        unlabelled=int((files.labels < 0).sum()),
        left_out=len(files.set_aside),
        classes=len(present),
        notes=(*more, *notes),
    )


def _written(folder: Path, root: Path, paths: Iterable[str]) -> dict[str, str]:
    """Return to each path below `root` how it is written in a manifest in `folder`."""
    top = _from(folder, root)
    before = "" if top == "." else f"{top.rstrip('/')}/"
    return {
        path: _from(folder, root / path)
        if path.startswith("/") or ".." in path or os.sep != "/"
        else f"{before}{path}"
        for path in paths
    }


def _from(folder: Path, path: Path) -> str:
    """Return a path as it is written in a manifest that lies in `folder`."""
    whole = Path(os.path.abspath(path))  # noqa: PTH100 - links stay as they are
    for top in dict.fromkeys([Path(os.path.abspath(folder)), Path(os.path.realpath(folder))]):  # noqa: PTH100
        if whole.is_relative_to(top):
            return whole.relative_to(top).as_posix()
    return whole.as_posix()


def _encoded(text: str, paths: dict[str, str]) -> bytes:
    try:
        return text.encode()
    except UnicodeEncodeError:
        odd = next((path for path, written in paths.items() if not _is_text(written)), "")
        raise WorkspaceError(
            f"a manifest is UTF-8, received the name {shown(odd)}, which is not; rename that file "
            "(its label stays with it), or apply to a new folder."
        ) from None


def _is_text(name: str) -> bool:
    return clean_name(name) == unicodedata.normalize("NFC", name)


def _check_manifest(path: Path, rows: dict[str, _Row]) -> None:
    """Read a manifest back, and refuse one that does not say what it was to say."""
    try:
        read = read_manifest(path)
    except DatasetError as error:
        raise _not_a_manifest(str(error).replace(str(path), "it")) from error
    found = _rows(read)
    for name, row in rows.items():
        if found.get(name) != row:
            raise _not_a_manifest(f"{shown(name)} is read as {shown(str(found.get(name)))}")


def _not_a_manifest(reason: str) -> WorkspaceError:
    return WorkspaceError(
        f"the labels cannot be written as a manifest that is read as it was meant ({reason}); "
        "rename the file or class, or apply to a new folder."
    )


def _check_folder(folder: Path, rows: dict[str, _Row]) -> None:
    """Read a folder back, and refuse one that does not say what it was to say."""
    try:
        read = scan_folder(folder)
    except DatasetError as error:
        raise _not_a_folder(str(error).replace(str(folder), "it")) from error
    found = _rows(read)
    for path, row in rows.items():
        there = found.get(path)
        if there is None or there[:2] != row[:2]:
            received = "left out" if there is None else f"of class {there.label or 'none'!r}"
            raise _not_a_folder(f"{shown(path)} is read as {received}")


def _not_a_folder(reason: str) -> WorkspaceError:
    return WorkspaceError(
        f"the labels cannot be written as folders that are read as they were meant ({reason}); "
        "rename the class, or write a manifest, NAME.csv."
    )


def _places(rows: dict[str, _Row]) -> dict[str, str]:
    """Return to each file its place in a new folder: in that of its split and class."""
    taken: dict[str, int] = {}  # to each place the last number that a namesake was given
    places = {}
    for path, row in rows.items():
        if "/" in row.label or "\\" in row.label:
            raise _not_a_folder(f"the class {shown(row.label)} has a slash")
        name = PurePosixPath(path).name
        above = [part for part in (row.split, row.label) if part]
        new = first = "/".join([*above, name])
        while _key(new) in taken:
            taken[_key(first)] += 1
            pure = PurePosixPath(name)
            new = "/".join([*above, f"{pure.stem}-{taken[_key(first)]}{pure.suffix}"])
        taken[_key(new)] = 1
        places[path] = new
    return places


def _key(path: str) -> str:
    """Return what is the same of paths that some system takes for one."""
    return unicodedata.normalize("NFC", path).casefold()


def _make(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except ValueError as error:  # a null character
        raise _not_a_folder(str(error)) from error


def _put(source: Path, new: Path, *, link: bool) -> None:
    if link:
        try:
            os.link(os.path.realpath(source), new)
        except FileNotFoundError:
            raise _unreadable(source, "it has vanished") from None
        except OSError as error:
            raise OutputError(
                f"{shown(source)} cannot be linked ({error.strerror or error}); hard links need "
                "the same disk, and a file of yours: copy instead."
            ) from error
        return
    try:
        file = source.open("rb")
    except OSError as error:
        raise _unreadable(source, error.strerror or str(error)) from error
    with file, new.open("xb") as copy:
        shutil.copyfileobj(file, copy, _CHUNK)
    shutil.copystat(source, new)


def _unreadable(source: Path, reason: str) -> WorkspaceError:
    return WorkspaceError(
        f"{shown(source)} cannot be read ({reason}), and nothing is written; open the folder anew, "
        "or set the file aside."
    )
