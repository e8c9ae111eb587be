"""Image files listed in a CSV file: path, label and, if wanted, split and group."""

from __future__ import annotations

import csv
import io
import os
import stat
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from lamplighter.data.files import ImageFiles, SetAside
from lamplighter.data.naming import clean_name, group_finder, group_notes, shown, split_name
from lamplighter.errors import DatasetError
from lamplighter.names import no_such_path

if TYPE_CHECKING:
    from collections.abc import Iterator

_NEEDED, _OPTIONAL = ("path", "label"), ("split", "group")


class _Row(NamedTuple):
    path: str
    label: str
    split: str
    group: str


def read_manifest(path: str | Path, *, group: str | None = None) -> ImageFiles:
    """Return the image files that the CSV file `path` lists.

    Its first line names the columns, in any order: path and label, and if wanted split (train,
    val, test or test-NAME) and group; further columns are ignored. Paths are relative to the
    folder of the file, or absolute. It is UTF-8, with commas, semicolons or tabs. An empty label
    is a file without one, an empty split one that is still to be given.

    Args:
        path: the CSV file.
        group: a regular expression for the files without a group of their own, as in
            `lamplighter.data.folders.scan_folder`.

    Raises:
        DatasetError: there is no such file, or a line of it is wrong, which is named; or there
            is no image in it.
    """
    path = Path(path)
    find_group = group_finder(group)
    rows, repeated = _rows(path)
    present, set_aside = [], []
    for row in rows:
        if reason := _missing(path.parent / row.path):
            set_aside.append(SetAside(row.path, reason))
        else:
            present.append(row)
    if not present:
        first = f", such as {shown(set_aside[0].path)}" if set_aside else ""
        raise DatasetError(
            f"{shown(path)} must list images, received {len(set_aside)} paths and no file at "
            f"any of them{first}; paths are relative to the folder of the CSV file."
        )
    class_names = sorted({row.label for row in present} - {""})
    index = {name: number for number, name in enumerate(class_names)} | {"": -1}
    repeats = f"lines that repeat a file, which is read once: {repeated:,}."
    groups = tuple(row.group or find_group(Path(row.path).name) for row in present)
    return ImageFiles(
        name=clean_name(path.stem),
        root=path.parent,
        paths=tuple(row.path for row in present),
        labels=np.array([index[row.label] for row in present], dtype=np.int64),
        class_names=tuple(class_names),
        splits=tuple(row.split for row in present),
        groups=groups,
        set_aside=tuple(set_aside),
        notes=(*group_notes(groups, group), *([repeats] if repeated else [])),
    )


def _rows(path: Path) -> tuple[list[_Row], int]:
    """Return the rows of the file, each path once, and how many lines repeated one."""
    rows: dict[str, tuple[int, _Row]] = {}
    count = 0
    for line, row in _read(path):
        count += 1
        place = os.path.normpath(path.parent / row.path)
        earlier, first = rows.setdefault(place, (line, row))
        if first[1:] != row[1:]:
            raise DatasetError(
                f"{shown(path)}, line {line}: a file must have one label, split and group, "
                f"received {shown(row.path)} again with others than in line {earlier} "
                f"({shown(', '.join(row[1:]))}; {shown(', '.join(first[1:]))}); remove one of "
                "these lines."
            )
    return [row for _, row in rows.values()], count - len(rows)


def _read(path: Path) -> Iterator[tuple[int, _Row]]:
    """Yield each row with the number of its line."""
    text = _text(path)
    header = text.partition("\n")[0]
    # csv.Sniffer takes letters for delimiters too; the first line holds names of columns alone.
    delimiter = max(",;\t", key=header.count)
    reader = csv.reader(
        io.StringIO(text, newline=""), delimiter=delimiter, skipinitialspace=True, strict=True
    )
    try:
        columns = _columns(path, next(reader, []))
        for cells in reader:
            if any(cells):
                yield reader.line_num, _row(path, reader.line_num, cells, columns)
    except csv.Error as error:
        raise DatasetError(
            f"{shown(path)}, line {reader.line_num}: the line must be CSV, received one that is "
            f"not ({error}); mend its quotation marks."
        ) from error


def _text(path: Path) -> str:
    try:
        return path.read_bytes().decode("utf-8-sig")
    except FileNotFoundError:
        raise DatasetError(no_such_path("file", path)) from None
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


def _columns(path: Path, header: list[str]) -> dict[str, int]:
    """Return the place of each column that matters, and under "" how many there are."""
    names = [name.strip().lower() for name in header]
    wanted = [name for name in names if name in _NEEDED + _OPTIONAL]
    if not set(_NEEDED) <= set(names) or len(set(wanted)) < len(wanted):
        raise DatasetError(
            f"{shown(path)}, line 1: the first line must name the columns path and label, and if "
            f"wanted split and group, each once, received {shown(', '.join(header))[:200]}."
        )
    return {name: names.index(name) for name in wanted} | {"": len(names)}


def _row(path: Path, line: int, cells: list[str], columns: dict[str, int]) -> _Row:
    where = f"{shown(path)}, line {line}"
    if len(cells) != columns[""]:
        raise DatasetError(
            f"{where}: a line must have as many cells as the first one, {columns['']}, "
            f"received {len(cells)}; put a name that has the separator in it in quotation marks."
        )
    values = {name: cells[place] for name, place in columns.items() if name}
    if not values["path"].strip():
        raise DatasetError(f"{where}: the path is empty; name a file or remove the line.")
    split = values.get("split", "").strip()
    if split and not split_name(split):
        raise DatasetError(
            f"{where}: a split must be train, val, test or test-NAME, or empty, received {split!r}."
        )
    return _Row(
        _relative(path.parent, values["path"]),
        clean_name(values["label"]).strip(),
        split_name(split),
        values.get("group", "").strip(),
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
