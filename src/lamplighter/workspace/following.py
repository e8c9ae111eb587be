"""Which file of a folder is which of the journal, though it was moved, touched or replaced.

A file that has the path, size and time of change that the journal knows is taken for the same, as
rsync and make do; of any other the content decides. So a file that was moved or renamed keeps its
label, and one that was put in the place of another does not get that of the other.
"""

from __future__ import annotations

import os
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from lamplighter.auditing.thumbnails import content_hash
from lamplighter.errors import ImageError
from lamplighter.workspace.journal import Content, Item

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from lamplighter.datasets.files import Progress

_TOLD = 64  # files between two calls of a progress function


class State(NamedTuple):
    """What tells quickly whether a file was written to: its size and time of change."""

    size: int
    mtime: int


@dataclass
class Found:
    """Where the files of the journal are now.

    Attributes:
        at: to the path of each file that is there, what the journal has of it.
        missing: what the journal has of files that are nowhere; not of those in whose place there
            is another one that the journal has.
        moved: the old and the new path of those found elsewhere by their content.
        seen: what is to be written down, since path or time of change are others now.
        read: what was read of other files.
    """

    at: dict[str, Item] = field(default_factory=dict)
    missing: list[Item] = field(default_factory=list)
    moved: list[tuple[str, str]] = field(default_factory=list)
    seen: list[Item] = field(default_factory=list)
    read: list[Content] = field(default_factory=list)


class Follower:
    """The files of one scan of a folder.

    What was found stays found until the next scan, so that asking again costs little.

    Args:
        root: the folder that paths are relative to.
        paths: the images that were found in it.
        read_before: gives what is known of the content of other files; asked once, and late.
    """

    def __init__(
        self, root: Path, paths: Iterable[str], read_before: Callable[[], list[Content]]
    ) -> None:
        self._root, self._paths = str(root), dict.fromkeys(paths)
        self._read_before = read_before
        self._chosen: dict[str, tuple[tuple[int, ...], int | None]] = {}
        self._elsewhere: dict[int, str | None] = {}
        self._contents: dict[str, Content] | None = None

    def find(
        self,
        items: Iterable[Item],
        *,
        reread: bool = False,
        progress: Progress | None = None,
    ) -> Found:
        """Return where the files of `items` are.

        Args:
            items: all that a person labelled or set aside.
            reread: look at the content of every file.
            progress: told how many paths are looked at, and of how many.
        """
        groups: dict[str, list[Item]] = {}
        for item in items:
            groups.setdefault(item.path, []).append(item)
        found, displaced = Found(), []
        for number, (path, group) in enumerate(groups.items()):
            chosen = self._chosen_of(path, group, found, reread=reread)
            for item in group:
                if item.id == chosen:
                    found.at[path] = item
                else:
                    displaced.append(item)
            if progress is not None and number % _TOLD == 0:
                progress(number, len(groups))
        self._look_elsewhere(displaced, found, progress)
        found.missing = [item for item in found.missing if item.path not in found.at]
        return found

    def look_again(self, known: Mapping[str, Sequence[Item]]) -> list[Item]:
        """Return what is to be written down of files whose time of change alone is another one.

        Args:
            known: to each path all that the journal has of it.
        """
        touched = []
        for path, group in known.items():
            self._chosen.pop(path, None)
            chosen = self._choose(path, group, reread=False)
            if chosen is not None and chosen not in group:
                touched.append(chosen)
        return touched

    def state(self, path: str) -> State | None:
        """Return the size and time of change of a file; None where it is gone."""
        if path not in self._paths:
            return None
        try:
            status = os.stat(os.path.join(self._root, path))  # noqa: PTH116, PTH118 - fast
        except OSError:
            return None
        return State(status.st_size, status.st_mtime_ns)

    def content(self, path: str) -> bytes | None:
        """Return the SHA-256 of a file; None where it cannot be read."""
        try:
            return bytes.fromhex(content_hash(Path(self._root, path)))
        except ImageError:
            return None

    def with_content(self, item: Item) -> Item:
        """Return `item` with the content of its file, if that is still the one it was."""
        before = self.state(item.path)
        if before != (item.size, item.mtime):
            return item
        content = self.content(item.path)
        same = content is not None and self.state(item.path) == before
        return item._replace(content=content) if same else item

    def _chosen_of(
        self, path: str, group: Sequence[Item], found: Found, *, reread: bool
    ) -> int | None:
        """Return the number of what the journal has of the file that is at `path` now."""
        ids = (group[0].id,) if len(group) == 1 else tuple(item.id for item in group)
        before = self._chosen.get(path)
        if not reread and before is not None and before[0] == ids:
            return before[1]
        chosen = self._choose(path, group, reread=reread)
        if chosen is not None and chosen not in group:
            found.seen.append(chosen)
        number = None if chosen is None else chosen.id
        self._chosen[path] = ids, number
        return number

    def _choose(self, path: str, group: Sequence[Item], *, reread: bool) -> Item | None:
        """Return what the journal has of the file that is at `path` now."""
        state = self.state(path)
        if state is None:
            return None
        for item in reversed(group):
            if item.mtime == state.mtime and item.size == state.size:
                if reread and item.content:
                    break
                return item
        alike = [item for item in reversed(group) if item.size == state.size and item.content]
        content = self.content(path) if alike else None
        for item in alike:
            if item.content == content:
                return item._replace(mtime=state.mtime)
        return None

    def _look_elsewhere(
        self, displaced: Sequence[Item], found: Found, progress: Progress | None
    ) -> None:
        """Look for files that are not where they were, by their content."""
        new = [item for item in displaced if item.id not in self._elsewhere]
        if any(item.content for item in new):
            self._search([item for item in new if item.content], found, progress)
        for item in displaced:
            path = self._elsewhere.setdefault(item.id, None)
            if path is None or path in found.at:
                found.missing.append(item)
                continue
            found.at[path] = item
            found.moved.append((item.path, path))

    def _search(self, items: Sequence[Item], found: Found, progress: Progress | None) -> None:
        """Note where `items` have gone: to files of their content that nobody labelled."""
        wanted: defaultdict[bytes, list[Item]] = defaultdict(list)
        for item in items:
            wanted[item.content or b""].append(item)
        sizes = {item.size for item in items}
        taken = {path for path in self._elsewhere.values() if path}
        there: defaultdict[bytes, list[str]] = defaultdict(list)
        states: dict[str, State] = {}
        for path in self._paths:
            if path in found.at or path in taken:
                continue
            state = self.state(path)
            if state is not None and state.size in sizes:
                states[path] = state
        for number, (path, state) in enumerate(states.items()):
            content = self._known_content(path, state, found)
            if content in wanted:
                there[content].append(path)
            if progress is not None:
                progress(number + 1, len(states))
        for content, gone in wanted.items():
            for item, path in _paired(gone, there[content]):
                self._elsewhere[item.id] = path
                size, mtime = states[path]
                found.seen.append(item._replace(path=path, size=size, mtime=mtime))

    def _known_content(self, path: str, state: State, found: Found) -> bytes:
        if self._contents is None:
            self._contents = {one.path: one for one in self._read_before()}
        known = self._contents.get(path)
        if known is None or (known.size, known.mtime) != state:
            known = Content(path, *state, self.content(path) or b"")
            self._contents[path] = known
            if known.content:  # what cannot be read now may be readable later
                found.read.append(known)
        return known.content


def _paired(gone: Sequence[Item], there: Sequence[str]) -> list[tuple[Item, str]]:
    """Return which of the files with one content is which; those that cannot be told are left out.

    A file of the same name comes first. What is left over belongs together where there is as much
    of one as of the other, and it makes no difference which is which.
    """
    names = Counter(_name(path) for path in there)
    rivals = Counter(_name(item.path) for item in gone)
    by_name = {_name(path): path for path in there}
    pairs, left = [], []
    for item in gone:
        name = _name(item.path)
        if names[name] == 1 == rivals[name]:
            pairs.append((item, by_name[name]))
        else:
            left.append(item)
    taken = {path for _, path in pairs}
    rest = [path for path in there if path not in taken]
    if len(left) == len(rest) and len({(item.label, item.aside) for item in left}) == 1:
        pairs += zip(left, rest, strict=True)
    return pairs


def _name(path: str) -> str:
    return path.rpartition("/")[2]
