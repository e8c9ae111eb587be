"""Image files listed in a CSV file: path, label and, if wanted, split and group."""

from __future__ import annotations

import csv
import io
import os
import stat
from collections import Counter
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from lamplighter.datasets.columns import Columns, find_columns
from lamplighter.datasets.files import ImageFiles, SetAside
from lamplighter.datasets.recordings import recording_notes, recording_of
from lamplighter.datasets.split_names import read_split_name, resolve_splits
from lamplighter.datasets.walking import walk
from lamplighter.datasets.zipped_images import ZipPaths
from lamplighter.errors import DatasetError, MissingDatasetError
from lamplighter.files.naming import (
    IMAGE_SUFFIXES,
    as_given,
    clean_name,
    group_finder,
    group_notes,
    shown,
    unpacked_root,
)
from lamplighter.names import no_such_path
from lamplighter.text import counted

if TYPE_CHECKING:
    from collections.abc import Sequence


_DEEPEST = 3  # folders below a table in which files are looked for


class _Row(NamedTuple):
    path: str
    label: str
    split: str
    group: str


class _Line(NamedTuple):
    number: int
    cells: list[str]


def read_manifest(path: str | Path, *, group: str | None = None) -> ImageFiles:
    """Return the image files that the CSV file `path` lists.

    Its first line names the columns, in any order: path and label, and if wanted split (train,
    val, test or test-NAME) and group; further columns are ignored. Names that others give these
    columns (image_id, filename; class, breed; is_valid, set, Usage) are taken where they can mean
    nothing else. Paths are relative to the folder of the file, or absolute; a name may lack its
    ending, and the file may lie in a folder below, if there is only one of that name. What was
    taken for what is said in `notes`. The file is UTF-8, with commas, semicolons or tabs. An empty
    label is a file without one, an empty split one that is still to be given.

    Args:
        path: the CSV file.
        group: a regular expression for the files without a group of their own, as in
            `lamplighter.datasets.folders.scan_folder`; by default images of one recording belong
            together.

    Raises:
        DatasetError: there is no such file, or a line of it is wrong, which is named; or there
            is no image in it.
    """
    path = Path(path)
    find_group = recording_of if group is None else group_finder(group)
    header, read_lines = _read(path)
    lines = _unpacked(path, read_lines)
    files = _Files(path)
    try:
        columns = find_columns(header, [line.cells for line in lines], files.there)
    except DatasetError as error:
        raise DatasetError(f"{shown(path)}, line 1: {error}") from None
    read, found_notes = files.found([(line.number, _row(path, line, columns)) for line in lines])
    rows, repeat_notes = _once(path, read)
    present, set_aside = _present(path, rows)
    splits, split_notes = _splits(present, columns)
    class_names = sorted({row.label for row in present} - {""})
    index = {name: number for number, name in enumerate(class_names)} | {"": -1}
    groups = tuple(row.group or find_group(Path(row.path).name) for row in present)
    grouped = recording_notes(groups) if group is None else group_notes(groups, group)
    notes = (*columns.notes, *found_notes, *split_notes, *grouped, *repeat_notes)
    root, paths = _in_one_zip(path.parent, [row.path for row in present])
    return ImageFiles(
        name=clean_name(path.stem),
        root=root,
        paths=tuple(paths),
        labels=np.array([index[row.label] for row in present], dtype=np.int64),
        class_names=tuple(class_names),
        splits=splits,
        groups=groups,
        set_aside=tuple(set_aside),
        notes=notes,
    )


def _unpacked(path: Path, lines: Sequence[_Line]) -> list[_Line]:
    """Return the lines with each path that leads through a zip file as that of what is unpacked.

    `train` and `transfer` write such paths: photos.zip/cats/1.jpg.
    """
    zips = ZipPaths()

    def real(cell: str) -> str:
        if ".zip/" not in cell.lower().replace("\\", "/"):
            return cell
        there = path.parent / _relative(path.parent, cell)
        found = zips.real(there)
        return cell if found == there else str(found.absolute())

    return [line._replace(cells=[real(cell) for cell in line.cells]) for line in lines]


def _in_one_zip(folder: Path, paths: list[str]) -> tuple[Path, list[str]]:
    """Return the root of the files, and their paths in it: `folder`, or a zip file that has all."""
    files = [folder.absolute() / path for path in paths]  # the cache may lie below the folder
    archive = unpacked_root(files[0]) if files else None
    if archive is None or not all(file.is_relative_to(archive) for file in files):
        return folder, paths
    return archive, [file.relative_to(archive).as_posix() for file in files]


def _present(path: Path, rows: Sequence[_Row]) -> tuple[list[_Row], list[SetAside]]:
    """Return the rows whose files are there, and the others as set aside."""
    present, set_aside = [], []
    for row in rows:
        if reason := _missing(path.parent / row.path):
            file = path.parent.absolute() / row.path
            named = row.path if unpacked_root(file) is None else as_given(file)
            set_aside.append(SetAside(named, reason))
        else:
            present.append(row)
    if not present:
        first = f", such as {shown(set_aside[0].path)}" if set_aside else ""
        raise DatasetError(
            f"{shown(path)} must list images, received {len(set_aside)} paths and no file at "
            f"any of them{first}; paths are relative to the folder of the CSV file."
        )
    return present, set_aside


def _once(path: Path, read: Sequence[tuple[int, _Row]]) -> tuple[list[_Row], list[str]]:
    """Return the rows of the file, each path once, and a note where lines repeated one."""
    rows: dict[str, tuple[int, _Row]] = {}
    for line, row in read:
        place = os.path.normpath(path.parent / row.path)
        earlier, first = rows.setdefault(place, (line, row))
        if first[1:] != row[1:]:
            raise DatasetError(
                f"{shown(path)}, line {line}: a file must have one label, split and group, "
                f"received {shown(row.path)} again with others than in line {earlier} "
                f"({shown(', '.join(row[1:]))}; {shown(', '.join(first[1:]))}); remove one of "
                "these lines."
            )
    repeated = len(read) - len(rows)
    note = f"lines that repeat a file, which is read once: {repeated:,}."
    return [row for _, row in rows.values()], [note] if repeated else []


def _read(path: Path) -> tuple[list[str], list[_Line]]:
    """Return the names of the columns, and each line that is not empty."""
    text = _text(path)
    header = text.partition("\n")[0]
    # csv.Sniffer takes letters for delimiters too; the first line holds names of columns alone.
    delimiter = max(",;\t", key=header.count)
    reader = csv.reader(
        io.StringIO(text, newline=""), delimiter=delimiter, skipinitialspace=True, strict=True
    )
    try:
        names = next(reader, [])
        lines = [_Line(reader.line_num, cells) for cells in reader if any(cells)]
    except csv.Error as error:
        raise DatasetError(
            f"{shown(path)}, line {reader.line_num}: the line must be CSV, received one that is "
            f"not ({error}); mend its quotation marks."
        ) from error
    for line in lines:
        if len(line.cells) != len(names):
            raise DatasetError(
                f"{shown(path)}, line {line.number}: a line must have as many cells as the first "
                f"one, {len(names)}, received {len(line.cells)}; put a name that has the "
                "separator in it in quotation marks."
            )
    return names, lines


def _text(path: Path) -> str:
    try:
        return path.read_bytes().decode("utf-8-sig")
    except FileNotFoundError:
        raise MissingDatasetError(no_such_path("file", path)) from None
    except UnicodeDecodeError as error:
        line = error.object.count(b"\n", 0, error.start) + 1
        raise DatasetError(
            f"{shown(path)}, line {line}: a CSV file must be UTF-8, received other bytes; "
            "save it as CSV UTF-8."
        ) from error
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise DatasetError(
            f"{shown(path)} cannot be read ({reason}); check its name and permissions."
        ) from error


def _row(path: Path, line: _Line, columns: Columns) -> _Row:
    where = f"{shown(path)}, line {line.number}"

    def cell(place: int | None) -> str:
        return "" if place is None else line.cells[place].strip()

    if not cell(columns.path):
        raise DatasetError(f"{where}: the path is empty; name a file or remove the line.")
    split = cell(columns.split)
    if split and not columns.splits.get(split):
        raise DatasetError(
            f"{where}: a split must be train, val, test or test-NAME, or empty, received {split!r}."
        )
    return _Row(
        _relative(path.parent, line.cells[columns.path]),
        clean_name(cell(columns.label)).strip(),
        columns.splits[split] if split else "",
        cell(columns.group),
    )


class _Files:
    """The files that rows may mean which do not name them in full."""

    def __init__(self, manifest: Path) -> None:
        self._manifest, self._folder = manifest, manifest.parent
        self._known: dict[str, list[str]] | None = None

    def there(self, cell: str) -> bool:
        """Return whether `cell` names a file, in full or in part."""
        path = _relative(self._folder, cell)
        return bool(path.strip()) and (
            not _missing(self._folder / path) or bool(self._candidates(path))
        )

    def found(self, read: list[tuple[int, _Row]]) -> tuple[list[tuple[int, _Row]], list[str]]:
        """Return the rows with the paths that were meant, and what to say of it.

        Raises:
            DatasetError: there are several files that a row may mean.
        """
        missing = [row.path for _, row in read if _missing(self._folder / row.path)]
        meant = {path: files for path in missing if (files := self._candidates(path))}
        if not meant:
            return read, []
        folders = Counter(folder for files in meant.values() for folder in map(_folder_of, files))
        whole = {folder for folder, count in folders.items() if count == len(meant)}
        chosen = {path: self._choice(path, files, whole) for path, files in meant.items()}
        result = [(n, row._replace(path=chosen.get(row.path, row.path))) for n, row in read]
        first = next(row.path for _, row in read if row.path in chosen)
        return result, [
            f"understood: {counted(len(chosen), 'name stands', 'names stand')} for the file of "
            f"that name, such as {shown(first)} for {shown(chosen[first])}."
        ]

    def _candidates(self, path: str) -> list[str]:
        """Return the files below that are called so, or so but for their ending."""
        if PurePosixPath(path).is_absolute():
            return []
        if self._known is None:
            self._known = {}
            for file in walk(self._folder, deepest=_DEEPEST).paths:
                pure = PurePosixPath(file)
                for name in {pure.name, pure.stem}:
                    self._known.setdefault(name, []).append(file)
        found = self._known.get(PurePosixPath(path).name, [])
        within = f"/{path}"
        ends = [f for f in found if f"/{f}".endswith(within) or f"/{_stem(f)}".endswith(within)]
        if PurePosixPath(path).suffix.lower() in IMAGE_SUFFIXES:
            ends = [file for file in ends if f"/{file}".endswith(within)]
        return ends

    def _choice(self, path: str, files: list[str], whole: set[str]) -> str:
        """Return the file that is meant, where `whole` are the folders with a file for each row."""
        if len(files) == 1:
            return files[0]
        own = read_split_name(self._manifest.stem).role
        same = [file for file in files if own and read_split_name(_top_of(file)).role == own]
        full = [file for file in files if _folder_of(file) in whole]
        for chosen in (same, full):
            if len(chosen) == 1:
                return chosen[0]
        raise DatasetError(
            f"{shown(self._manifest)}: {shown(path)} must be one file, received "
            f"{' and '.join(shown(file) for file in files[:3])}; write the paths out in full."
        )


def _folder_of(file: str) -> str:
    return file.rpartition("/")[0]


def _top_of(file: str) -> str:
    return file.partition("/")[0]


def _stem(file: str) -> str:
    return str(PurePosixPath(file).with_suffix(""))


def _splits(rows: Sequence[_Row], columns: Columns) -> tuple[tuple[str, ...], list[str]]:
    """Return the split of each row; where no column gives it, by the folders of the files."""
    given = tuple(row.split for row in rows)
    tops = {_top_of(row.path) if "/" in row.path else "" for row in rows}
    if columns.split is not None or "" in tops:
        return given, []
    meaning = resolve_splits(sorted(tops))
    certain = all(read_split_name(top).certain for top in tops)
    if not certain or not all(meaning.values()) or len(set(meaning.values())) < 2:
        return given, []
    pairs = ", ".join(f"{split} is {shown(top)}" for top, split in sorted(meaning.items()))
    return (
        tuple(meaning[_top_of(row.path)] for row in rows),
        [f"understood: the splits are the folders of the files; {pairs}."],
    )


def _relative(folder: Path, text: str) -> str:
    """Return the path in `text` with "/" between folders, relative to `folder` if it is below."""
    path = Path(text)
    if "\\" in text and not (folder / path).exists():  # written on Windows
        path = Path(text.replace("\\", "/"))
    if path.is_absolute() and path.is_relative_to(folder.absolute()):
        path = path.relative_to(folder.absolute())
    return path.as_posix()


def _missing(path: Path) -> str:
    """Return why there is no file to read at `path`, "" where there is one."""
    try:
        regular = stat.S_ISREG(path.stat().st_mode)
    except (FileNotFoundError, NotADirectoryError):
        return "there is no such file; check the path."
    except (OSError, ValueError) as error:
        return f"cannot be found ({getattr(error, 'strerror', None) or error}); check the path."
    return "" if regular else "not a regular file; name an image."
