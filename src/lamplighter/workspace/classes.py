"""The names of classes: what those of the folders are called now, and what a name may be."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lamplighter.errors import WorkspaceError
from lamplighter.files.naming import clean_name, is_litter, shown
from lamplighter.names import unknown_name
from lamplighter.text import listed

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from lamplighter.workspace.journal import ClassName

_LONGEST = 200  # bytes; a class is a folder in the end, and most systems allow 255


class ClassNames:
    """The classes of a folder as they are called now.

    Args:
        folders: the classes that the folders make.
        rows: what the journal has of classes.
        labels: the classes that persons gave to files.
    """

    def __init__(
        self, folders: Sequence[str], rows: Sequence[ClassName], labels: Iterable[str]
    ) -> None:
        self._folders, self._rows = folders, rows
        self._now = {row.folder: row.now for row in rows if row.folder is not None and row.now}
        added = {row.now for row in rows if row.folder is None and row.now}
        self.all = sorted({*map(self.now, folders), *added, *labels})

    def now(self, folder: str) -> str:
        """Return what the class `folder` of the folders is called now."""
        return self._now.get(folder, folder)

    def known(self, name: str) -> str:
        """Return `name` if it is a class.

        Raises:
            WorkspaceError: it is none; the message says which may be meant.
        """
        name = clean_name(name).strip()
        if name in self.all:
            return name
        if name in self._now:
            raise WorkspaceError(f"the class {name!r} is called {self._now[name]!r} now.")
        raise WorkspaceError(f"{unknown_name('class', name, self.all)} A new one has to be added.")

    def new(self, name: str, *, instead_of: str | None = None) -> str:
        """Return `name`, composed and without spaces around it, if a class may be called so.

        Args:
            name: as it was given.
            instead_of: the class that is to have it.

        Raises:
            WorkspaceError: it is taken, or it could not be the name of a folder.
        """
        checked = _checked(name)
        if checked in self.all:
            how = "the two can be merged." if instead_of else "choose another name."
            raise WorkspaceError(f"there is a class {checked!r} already; {how}")
        for other in self.all:
            if other != instead_of and other.casefold() == checked.casefold():
                raise WorkspaceError(
                    f"the class {checked!r} would differ from {other!r} by case alone, which many "
                    "systems take for one folder; choose another name."
                )
        return checked

    def mergeable(self, names: Sequence[str], into: str) -> tuple[list[str], str]:
        """Return the classes `names`, each once, and the class `into` that they are to go to.

        Raises:
            WorkspaceError: one of them is none, or `into` is among `names`.
        """
        ending, into = list(dict.fromkeys(map(self.known, names))), self.known(into)
        if into in ending or not ending:
            raise WorkspaceError(
                f"other classes are merged into {into!r}, received "
                f"{listed(list(map(repr, ending))) or 'none'}; name one or more."
            )
        return ending, into

    def called(self, name: str) -> tuple[list[str], list[ClassName]]:
        """Return the classes of the folders, and those that were added, that are called so now."""
        folders = [folder for folder in self._folders if self.now(folder) == name]
        return folders, [row for row in self._rows if row.folder is None and row.now == name]

    def renamed(self, folder: str) -> str | None:
        """Return the name that was given to a class of the folders; None where none was."""
        return self._now.get(folder)


def _checked(name: str) -> str:
    checked = clean_name(name).strip()
    fault = ""
    if not checked:
        fault = "an empty one"
    elif not checked.isprintable():
        fault = f"{checked!r}, with characters that do not print"
    elif "/" in checked or "\\" in checked:
        fault = f"{shown(checked)}, with a slash"
    elif is_litter(checked):
        fault = f"{shown(checked)}, which is no name of a class folder"
    elif len(checked.encode()) > _LONGEST:
        fault = f"one of {len(checked.encode()):,} bytes"
    if fault:
        raise WorkspaceError(
            "the name of a class must be one that a folder can have, on one line and of at most "
            f"{_LONGEST} bytes, received {fault}."
        )
    return checked
