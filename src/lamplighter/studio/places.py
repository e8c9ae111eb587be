"""Where photos are on this machine, as far as the page may look, and where new ones go.

The page sees names of folders alone, below the home folder and the places where systems show other
disks; hidden ones are left out. What is brought to the page, or recorded, goes to a new folder
among the person's pictures.
"""

from __future__ import annotations

import itertools
import json
import os
import re
import string
import sys
from pathlib import Path
from typing import Any

import platformdirs

from lamplighter.errors import DataError, LamplighterError, MissingDatasetError, OutputError
from lamplighter.files.folders import new_folder, partial_folder
from lamplighter.files.naming import IMAGE_SUFFIXES, clean_name, is_litter, shown
from lamplighter.files.writing import written_whole
from lamplighter.workspace.workspace import Workspace

_SHELF = "Lamplighter"  # the folder among the pictures that new ones lie in
_LONGEST = 80  # characters of the name of a new folder
_MOST_SHOWN = 2000  # folders of one listing
_RECENT = 12  # folders that are remembered
_NOT_IN_NAMES = re.compile(r'[\x00-\x1f\x7f<>:"/\\|?*]+')  # on one system or another


def browsable() -> dict[str, Path]:
    """Return the folders that a person may look through, by what they are called."""
    home = Path.home()
    found = {"Home": home}
    if sys.platform == "win32":
        drives = {f"{letter}:": Path(f"{letter}:\\") for letter in string.ascii_uppercase}
        found |= {name: drive for name, drive in drives.items() if drive.exists()}
    for disks in (Path("/media") / home.name, Path("/run/media") / home.name, Path("/Volumes")):
        if disks.is_dir():
            found[f"Disks in {disks}"] = disks
    return found


def list_folders(path: str = "") -> dict[str, Any]:
    """Return the folders in a folder, as plain JSON types.

    Args:
        path: the folder; "" is the home folder.

    Returns:
        The folder, the one above it (None where that may not be looked into), the names of the
        folders in it, and how many images lie in it directly.

    Raises:
        DataError: it may not be looked into, or cannot be read.
        MissingDatasetError: there is no such folder.
    """
    tops = {Path(os.path.realpath(top)) for top in browsable().values()}
    folder = Path(os.path.realpath(path.replace("\0", "") or Path.home()))
    if not _is_within(folder, tops):
        raise DataError(
            f"only folders in {shown(Path.home())} and other disks are listed, received "
            f"{shown(path)}; type its path to open it."
        )
    names, images = [], 0
    try:
        with os.scandir(folder) as entries:
            for entry in entries:
                if is_litter(entry.name):
                    continue
                if entry.is_dir():
                    names.append(entry.name)
                else:
                    images += Path(entry.name).suffix.lower() in IMAGE_SUFFIXES
    except FileNotFoundError as error:
        raise MissingDatasetError(f"there is no folder {shown(path)}.") from error
    except OSError as error:
        raise DataError(
            f"{shown(path)} cannot be read: {error.strerror or error}; check its permissions."
        ) from error
    above = folder.parent
    return {
        "folder": str(folder),
        "above": str(above) if folder != above and _is_within(above, tops) else None,
        "names": sorted(filter(_is_text, names), key=str.casefold)[:_MOST_SHOWN],
        "images": images,
    }


def _is_within(folder: Path, tops: set[Path]) -> bool:
    return any(folder.is_relative_to(top) for top in tops)


def _is_text(name: str) -> bool:
    """Return whether a name can be sent to the page and comes back as it is."""
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True


def new_place(name: str) -> Path:
    """Return where a new folder may be made: nothing is there, or on its way, but the folder above.

    It lies in Lamplighter, among the person's pictures, else their documents, else in the data
    folder of this program.

    Args:
        name: what it is to be called, as far as folders may be; "NAME 2" where that is taken.

    Raises:
        OutputError: no such folder can be made.
    """
    shelf = _shelf()
    wanted = folder_name(name)
    for number in itertools.count(1):
        place = shelf / (wanted if number == 1 else f"{wanted} {number}")
        if not os.path.lexists(place) and not os.path.lexists(partial_folder(place)):
            return place
    raise AssertionError  # the numbers do not end


def folder_name(name: str, instead: str = "photos") -> str:
    """Return `name` as every system takes it for a folder; `instead` where nothing is left."""
    plain = _NOT_IN_NAMES.sub("-", clean_name(name))
    return plain[:_LONGEST].strip(" .-") or instead


def _shelf() -> Path:
    own = platformdirs.user_data_path("lamplighter") / "photos"
    visible = (platformdirs.user_pictures_path(), platformdirs.user_documents_path())
    shelf = next(
        (above / _SHELF for above in visible if above.is_dir() and os.access(above, os.W_OK)), own
    )
    try:
        shelf.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(
            f"{shown(shelf)} cannot be made for new photos: {error.strerror or error}; make it "
            "writable, or open a folder of your own."
        ) from error
    return shelf


def new_collection(name: str, class_names: list[str]) -> Path:
    """Make and return a new folder without images, with classes to record or bring them into.

    Raises:
        WorkspaceError: a class may not be called so, or two are called alike.
        OutputError: the folder cannot be made.
    """
    place = new_place(name)
    with new_folder(place) as folder, Workspace.open(folder, empty=True) as workspace:
        for class_name in class_names:
            workspace.add_class(class_name)
    return place


def remember(source: Path) -> None:
    """Note that a folder was opened; a full disk costs no more than that it is not noted."""
    path = str(source.absolute())
    if not _is_text(path):
        return
    others = [known for known in _remembered() if known != path]
    notes = _notes()
    try:
        notes.parent.mkdir(parents=True, exist_ok=True)
        with written_whole(notes) as file:
            file.write(json.dumps([path, *others][:_RECENT]).encode())
    except (OSError, LamplighterError):
        return


def recently_opened() -> list[str]:
    """Return the folders and files that were opened, the last one first, that are still there."""
    return [path for path in _remembered() if Path(path).exists()]


def _remembered() -> list[str]:
    try:
        known = json.loads(_notes().read_text("utf-8"))
    except (OSError, ValueError):  # none yet, or damaged: it begins anew
        return []
    return [path for path in known if isinstance(path, str)] if isinstance(known, list) else []


def _notes() -> Path:
    return platformdirs.user_data_path("lamplighter") / "studio" / "recent.json"
