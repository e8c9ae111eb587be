"""Where the journal of a folder, zip file or manifest lies.

In the folder itself, as one hidden file: so it goes along when the folder is moved, and it is no
image and no class, neither here nor for what takes each folder for a class (torchvision, Keras).
Where the folder may not be written, it lies in the user's data folder, under a name that is made
from the real path.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
import tempfile
from pathlib import Path

import platformdirs

from lamplighter.errors import OutputError, WorkspaceError
from lamplighter.files.naming import shown
from lamplighter.files.sqlite import ERRORS, connect

NAME = ".lamplighter-labels.sqlite"
_LONGEST = 240  # bytes of a name; most systems allow 255, and SQLite adds an ending


def journal_path(source: Path) -> tuple[Path, str]:
    """Return the file for the journal of `source`, which need not be there, and a note on it.

    A journal in the user's data folder comes first: there is one only where the folder could not
    be written, and it holds whatever was done since.

    Args:
        source: the folder, zip file or manifest.

    Raises:
        OutputError: the folder may not be written, and the user's data folder neither.
        WorkspaceError: the journal in the folder can only be read, and is damaged.
    """
    real = Path(os.path.realpath(source))
    beside = real / NAME if real.is_dir() else real.with_name(f".{real.name}{NAME}")
    digest = hashlib.sha256(os.fsencode(real)).hexdigest()
    kept = Path(platformdirs.user_data_dir("lamplighter")) / "labels" / f"{digest[:24]}.sqlite"
    if _size(kept):
        other = f"; that in {shown(beside)} is not used" if beside.exists() else ""
        return kept, f"the journal is {shown(kept)}{other}."
    short = len(os.fsencode(beside.name)) <= _LONGEST
    if short and _writable(beside.parent) and (not beside.exists() or _writable(beside)):
        return beside, ""
    try:
        kept.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(
            f"{shown(kept.parent)} cannot be made for the labels of {shown(source)}, which may not "
            f"be written: {error.strerror or error}; make one of the two writable."
        ) from error
    note = f"{shown(source)} may not be written: the journal is {shown(kept)}"
    if short and beside.exists():
        _copy(beside, kept)
        return kept, f"{note}, begun as a copy of {shown(beside)}."
    return kept, f"{note}."


def _writable(path: Path) -> bool:
    return os.access(path, os.W_OK)


def _size(path: Path) -> int:
    """Return how many bytes a file has; 0 where there is none."""
    try:
        return path.stat().st_size
    except OSError:
        return 0


def _copied(beside: Path, copy: Path) -> list[bytes]:
    """Copy a journal with what lies beside it, and return hashes of that."""
    hashes = []
    for ending in ("-wal", ""):
        with contextlib.suppress(FileNotFoundError):
            shutil.copyfile(f"{beside}{ending}", f"{copy}{ending}")
            hashes.append(hashlib.sha256(Path(f"{copy}{ending}").read_bytes()).digest())
    return hashes


def _copy(beside: Path, kept: Path) -> None:
    """Copy a journal that can only be read, with what lies beside it; `kept` appears whole."""
    try:
        with tempfile.TemporaryDirectory(dir=kept.parent) as folder:
            copy, whole = Path(folder, "copy"), Path(folder, "whole")
            state: object = None
            while state != (state := _copied(beside, copy)):  # nobody wrote to it meanwhile
                pass
            connection = connect(copy, patience=0.0)
            try:
                connection.execute("VACUUM INTO ?", (str(whole),))
            finally:
                connection.close()
            whole.replace(kept)
    except ERRORS as error:
        raise WorkspaceError(
            f"{shown(beside)} may only be read, and cannot be copied ({error}); check that it is "
            "whole, or copy the folder to where you may write."
        ) from error
    except OSError as error:
        raise OutputError(
            f"{shown(kept)} cannot be written: {error.strerror or error}; free some space."
        ) from error
