"""What the columns of a table of images mean: where the file is, its label, its split, its group.

The names are those that people's tables have: Kaggle's id and label, fastai's is_valid, Hugging
Face's file_name. What stands in the columns decides where names alone do not.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from lamplighter.datasets.split_names import read_split_name, resolve_splits
from lamplighter.errors import DatasetError
from lamplighter.files.naming import IMAGE_SUFFIXES, shown

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

_PATHS = (
    "path filepath filename file fname image imagepath imagefile imagename imageid img imgpath "
    "imgfile imgname imgid photo photoid picture name id"
)
_LABELS = (
    "label labels labelname class classes classname classid target targets category categories "
    "categoryname breed species variety diagnosis dx"
)
_SPLITS = "split set subset dataset partition usage phase"
_FLAGS = {  # a column of yes and no: what yes means, and what no
    "isvalid": ("val", "train"),
    "isval": ("val", "train"),
    "isvalidation": ("val", "train"),
    "istest": ("test", "train"),
    "istrain": ("train", "test"),
    "istraining": ("train", "test"),
    "istrainingimage": ("train", "test"),
}
_YES = {"true": True, "1": True, "yes": True, "1.0": True}
_NO = {"false": False, "0": False, "no": False, "0.0": False}
_GROUPS = (
    "patient patientid subject subjectid video videoid scene sceneid sequence sequenceid session "
    "site track trackid burst"
)
_LOOKED_AT = 200  # lines in which files are looked for, to tell the column of their names


@dataclass(frozen=True)
class Columns:
    """The place of each column that matters; None where there is none.

    Attributes:
        path: where the file is.
        label: its class.
        split: its split.
        group: what it belongs to.
        splits: what each value of the column for splits means.
        notes: what is to be said of the choice, one line each.
    """

    path: int
    label: int
    split: int | None
    group: int | None
    splits: dict[str, str]
    notes: tuple[str, ...]


def find_columns(
    header: Sequence[str], rows: Sequence[Sequence[str]], there: Callable[[str], bool]
) -> Columns:
    """Return which column is which.

    Args:
        header: the names of the columns.
        rows: the lines below, of as many cells.
        there: whether a cell names a file that is there.

    Raises:
        DatasetError: no column, or more than one, may be the path or the label; without the name
            of the file, which the caller knows.
    """
    names = [name.strip().lower() for name in header]
    plain = [_plain(name) for name in names]
    for wanted in ("path", "label", "split", "group"):
        if names.count(wanted) > 1:
            raise DatasetError(_needed(header))
    path = _path_column(header, names, plain, rows, there)
    split, splits, split_notes = _split_column(header, names, plain, rows)
    label = _label_column(header, names, plain, rows, {path, split})
    group = names.index("group") if "group" in names else None
    said = [
        f"{what} is the column {shown(header[place])}"
        for what, place in (("path", path), ("label", label), ("split", split))
        if place is not None and names[place] != what
    ]
    notes = [f"understood: {'; '.join(said)}."] if said else []
    unused = [
        shown(header[place])
        for place, name in enumerate(plain)
        if name in _GROUPS.split() and place not in (path, label, split, group) and group is None
    ]
    if split is None:
        split_notes += _like_splits(header, rows, {path, label, group})
    if unused:
        notes.append(
            f"the column {unused[0]} is not used; call it group, and what it names stays in one "
            "split."
        )
    return Columns(path, label, split, group, splits, (*notes, *split_notes))


def _plain(name: str) -> str:
    return "".join(character for character in name if character.isalnum())


def _needed(header: Sequence[str]) -> str:
    return (
        "the first line must name the columns path and label, and if wanted split and group, each "
        f"once, received {shown(', '.join(header))[:200]}."
    )


def _path_column(
    header: Sequence[str],
    names: list[str],
    plain: list[str],
    rows: Sequence[Sequence[str]],
    there: Callable[[str], bool],
) -> int:
    if "path" in names:
        return names.index("path")
    known = _PATHS.split()
    found = [place for place, name in enumerate(plain) if name in known]
    if len(found) > 1:  # the one whose cells are files
        hits = {place: sum(there(row[place]) for row in rows[:_LOOKED_AT]) for place in found}
        best = max(hits.values())
        found = [place for place in found if hits[place] == best] if best else found
    if len(found) > 1:  # of id and filename, say, both of which name the same files
        written = [
            place for place in found if all(_is_file_name(row[place]) for row in rows[:_LOOKED_AT])
        ]
        found = written if len(written) == 1 else found
    return _only(found, "path", header)


def _is_file_name(cell: str) -> bool:
    return any(cell.lower().endswith(suffix) for suffix in IMAGE_SUFFIXES)


def _label_column(
    header: Sequence[str],
    names: list[str],
    plain: list[str],
    rows: Sequence[Sequence[str]],
    taken: set[int | None],
) -> int:
    if "label" in names:
        return names.index("label")
    known = _LABELS.split()
    found = [place for place, name in enumerate(plain) if name in known and place not in taken]
    if len(found) > 1:  # class and class_id say the same: the one in words
        words = [place for place in found if not all(_is_number(row[place]) for row in rows)]
        pairs = {tuple(row[place] for place in found) for row in rows}
        alike = all(len({pair[k] for pair in pairs}) == len(pairs) for k in range(len(found)))
        found = words[:1] or found[:1] if alike else found
    if not found:  # the only other column, if it sorts the files
        others = [place for place, name in enumerate(plain) if name and place not in taken]
        if len(others) == 1 and names[others[0]] != "group":
            values = {row[others[0]] for row in rows}
            found = others if 1 < len(values) <= max(2, len(rows) // 2) else []
    return _only(found, "label", header)


def _only(found: list[int], wanted: str, header: Sequence[str]) -> int:
    if len(found) == 1:
        return found[0]
    if not found:
        raise DatasetError(_needed(header))
    several = ", ".join(shown(header[place]) for place in found)
    raise DatasetError(
        f"one column must be the {wanted}, received several that may be ({several}); call the "
        f"right one {wanted}."
    )


def _is_number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return False
    return True


def _split_column(
    header: Sequence[str], names: list[str], plain: list[str], rows: Sequence[Sequence[str]]
) -> tuple[int | None, dict[str, str], list[str]]:
    """Return the column for splits, what its values mean, and notes on those that are not it."""
    chosen: tuple[int | None, dict[str, str]] = (None, {})
    notes: list[str] = []
    candidates = [place for place, name in enumerate(plain) if _may_be_split(name)]
    candidates.sort(key=lambda place: (names[place] != "split", place))
    for place in candidates:
        values = sorted({row[place].strip() for row in rows} - {""})
        meaning = _meaning(plain[place], values)
        if chosen[0] is None and (meaning or names[place] == "split"):
            chosen = place, meaning or resolve_splits(values)
            notes += _pairs(header[place], chosen[1])
        elif values:
            notes.append(_unused(header[place], values, instead=chosen[0] is not None))
    return (*chosen, notes)


def _pairs(name: str, meaning: dict[str, str]) -> list[str]:
    """Return what to say of values that are not the names of splits as they stand."""
    pairs = [
        f"{shown(value)} is {split}"
        for value, split in meaning.items()
        if split and value.lower() not in (split.lower(), split.lower().replace("-", "_"), "valid")
    ]
    return [f"understood: in {shown(name)}, {', '.join(pairs)}."] if pairs else []


def _may_be_split(plain: str) -> bool:
    return plain in _SPLITS.split() or plain in _FLAGS or plain.rstrip("s") in ("fold", "kfold")


def _meaning(plain: str, values: list[str]) -> dict[str, str]:
    """Return what the values of a column mean as splits, {} where they do not all mean one."""
    flags = {value: (_YES | _NO).get(value.lower()) for value in values}
    if plain in _FLAGS:
        yes, no = _FLAGS[plain]
        if None in flags.values():
            return {}
        return {value: yes if flag else no for value, flag in flags.items()}
    meaning = resolve_splits(values)
    certain = all(read_split_name(value).certain for value in values)
    return meaning if certain and all(meaning.values()) else {}


def _like_splits(
    header: Sequence[str], rows: Sequence[Sequence[str]], taken: set[int | None]
) -> list[str]:
    """Return what to say of columns that hold splits, or are called so, but not by a known name."""
    notes = []
    for place, name in enumerate(header):
        if place in taken or _may_be_split(_plain(name.lower())):
            continue
        values = sorted({row[place].strip() for row in rows} - {""})
        flags = all(value.lower() in _YES | _NO for value in values)
        named = len(values) > 1 and all(read_split_name(value).certain for value in values)
        if named or (values and flags and read_split_name(name).certain):
            notes.append(
                f"the column {shown(name)} looks like splits ({', '.join(map(shown, values[:5]))}) "
                "and is not used; if it is that, call it split, with train, val and test in it."
            )
    return notes


def _unused(name: str, values: Iterable[str], *, instead: bool) -> str:
    values = list(values)
    received = ", ".join(shown(value) for value in values[:5]) + (", ..." if values[5:] else "")
    if instead:
        return f"the column {shown(name)} is not used, since another one names the splits."
    if all(map(_is_number, values)):
        return (
            f"the column {shown(name)} looks like splits but holds numbers ({received}), of which "
            "none is known to be the test set; write train, val or test into a column split."
        )
    return (
        f"the column {shown(name)} is not used: {received} are not all names of splits; write "
        "train, val or test into a column split, if they are meant so."
    )
