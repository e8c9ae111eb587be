"""Which files of a folder are meant by names, folders, patterns and ends of paths."""

from __future__ import annotations

import fnmatch
import os
import re
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from lamplighter.errors import WorkspaceError
from lamplighter.files.naming import shown
from lamplighter.names import either, near_names
from lamplighter.text import listed

if TYPE_CHECKING:
    from collections.abc import Iterable

    from lamplighter.datasets.files import ImageFiles

_MOST_NEAR = 10_000  # files among which near names are looked for


def known_paths(files: ImageFiles, given: Iterable[str | Path]) -> list[str]:
    """Return paths as `files` has them, each once.

    Args:
        files: the files that there are.
        given: paths relative to the root, or absolute.

    Raises:
        WorkspaceError: there is no such file, or none is given.
    """
    known = set(files.paths)
    chosen: dict[str, None] = {}
    for path in map(str, given):
        found = path
        if path not in known and Path(path).is_absolute():
            found = _below(files, Path(path)) or path
        if found not in known:
            raise WorkspaceError(_no_file(files, path))
        chosen[found] = None
    return _some(chosen)


def select(files: ImageFiles, names: Iterable[str | Path], source: Path) -> list[str]:
    """Return the files that `names` mean, as `Workspace.select` says it.

    Args:
        files: the files that there are.
        names: paths, folders, patterns and ends of paths.
        source: what the files were read from, as it was named.

    Raises:
        WorkspaceError: a name means no file, or could mean several.
    """
    selection = _Selection(files, source)
    return _some(dict.fromkeys(path for name in names for path in selection.meant(str(name))))


def _some(chosen: dict[str, None]) -> list[str]:
    if not chosen:
        raise WorkspaceError("there must be a file to change, received none; name one or more.")
    return list(chosen)


class _Selection:
    """What names mean among many files; thousands of names are looked up quickly."""

    def __init__(self, files: ImageFiles, source: Path) -> None:
        self._files, self._source = files, source
        self._known = set(files.paths)

    def meant(self, name: str) -> list[str]:
        """Return the files that `name` means."""
        ways = [name.rstrip("/") or name]
        if (below := _below(self._files, Path(name))) is not None:
            ways.append(below)
        for way in ways:
            if way in self._known:
                return [way]
        for way in ways:
            if way in self._folders:
                return self._inside(way)
        if any(sign in name for sign in "*?["):
            for way in ways:
                if found := self._matching(way):
                    return found
        return [self._by_end(name)]

    @cached_property
    def _folders(self) -> set[str]:
        folders = {"."}
        for path in self._known:
            while (path := path.rpartition("/")[0]) and path not in folders:
                folders.add(path)
        return folders

    @cached_property
    def _by_name(self) -> dict[str, list[str]]:
        found: dict[str, list[str]] = {}
        for path in self._files.paths:
            found.setdefault(path.rpartition("/")[2], []).append(path)
        return found

    def _inside(self, folder: str) -> list[str]:
        if folder == ".":
            return list(self._files.paths)
        return [path for path in self._files.paths if path.startswith(f"{folder}/")]

    def _matching(self, pattern: str) -> list[str]:
        matches = re.compile(fnmatch.translate(pattern)).match
        if "/" in pattern:
            return [path for path in self._files.paths if matches(path)]
        return [path for path in self._files.paths if matches(path.rpartition("/")[2])]

    def _by_end(self, name: str) -> str:
        """Return the one file whose path ends with `name`."""
        same = self._by_name.get(name.rpartition("/")[2], [])
        found = [path for path in same if f"/{path}".endswith(f"/{name}")]
        if len(found) > 1:
            raise WorkspaceError(
                f"{shown(name)} may be any of {listed([shown(path) for path in found], 3)} in "
                f"{shown(self._source)}; name its folder as well."
            )
        if not found:
            raise WorkspaceError(_no_file(self._files, name))
        return found[0]


def _below(files: ImageFiles, path: Path) -> str | None:
    """Return a path from the current folder, or an absolute one, as one from the root."""
    whole, root = os.path.abspath(path), os.path.abspath(files.root)  # noqa: PTH100 - ".." as text
    for place, top in ((whole, root), (os.path.realpath(whole), os.path.realpath(root))):
        if place == top:
            return "."
        if place.startswith(f"{top.rstrip(os.sep)}{os.sep}"):
            return place[len(top.rstrip(os.sep)) + 1 :].replace(os.sep, "/")
    return None


def _no_file(files: ImageFiles, name: str) -> str:
    left_out = next((one for one in files.set_aside if one.path == name), None)
    if left_out is not None:
        return f"{shown(name)} is no image that can be labelled: {left_out.reason}"
    near = near_names(name, files.paths[:_MOST_NEAR])
    told = f"did you mean {either(near)}?" if near else "check the name."
    return f"there is no image {shown(name)} in {shown(files.root)}; {told}"
