"""A folder of photos being worked on."""

from __future__ import annotations

import contextlib
import os
import threading
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, Self

import numpy as np

from lamplighter.arguments import checked_arguments
from lamplighter.datasets.folders import find_files
from lamplighter.errors import LamplighterError, WorkspaceError
from lamplighter.files.naming import clean_name, shown
from lamplighter.workspace.actions import (
    AddClass,
    KeepFiles,
    LabelFiles,
    MergeClasses,
    RenameClass,
    SetFilesAside,
)
from lamplighter.workspace.applying import write_folder, write_manifest
from lamplighter.workspace.checking import compare, notes_on_journal, notes_on_labels
from lamplighter.workspace.classes import ClassNames
from lamplighter.workspace.collecting import class_folder
from lamplighter.workspace.following import Follower
from lamplighter.workspace.journal import ItemChange, Journal
from lamplighter.workspace.location import journal_path
from lamplighter.workspace.selection import known_paths, select

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from lamplighter.datasets.files import ImageFiles, Progress
    from lamplighter.workspace.applying import Applied
    from lamplighter.workspace.checking import FolderCheck
    from lamplighter.workspace.following import Found
    from lamplighter.workspace.journal import Change, Content, Item, Step

_LONGEST_REASON = 1000  # characters
_AT_ONCE = 500  # files read between two times that their content is written down


class _Scan(NamedTuple):
    """The files of the folder at one time, and where those of the journal are among them."""

    files: ImageFiles
    follower: Follower


@checked_arguments
class Workspace:
    """A folder, zip file or manifest of photos whose labels a person sets; made by `open`.

    What is set goes to a journal at once, and can be undone; the photos are never changed, moved
    or deleted. Other commands read the folder as it is: labels count where `apply` wrote them, or
    in `files`. Several workspaces, in several processes, may be open on one folder: each sees what
    the others do, and there is one history. Safe to use from several threads.
    """

    def __init__(
        self,
        source: Path,
        files: ImageFiles,
        journal: Journal,
        *,
        note: str = "",
        read_later: bool = False,
        empty: bool = False,
    ) -> None:
        self.source = source
        self._note = note
        self._empty = empty
        self._journal = journal
        self._read_later = read_later
        self._moved: dict[str, str] = {}
        self._turn = threading.Lock()  # never waited for by who has the journal
        self._scan = self._scan_of(files)

    @classmethod
    def open(
        cls,
        folder: str | Path,
        *,
        read_later: bool = False,
        empty: bool = False,
        progress: Progress | None = None,
    ) -> Self:
        """Return the workspace of a folder, a zip file or a manifest, as `find_files` reads them.

        Nothing is written before the first change. The journal lies in the folder, in one hidden
        file; where the folder may not be written, in the user's data folder. `journal` says where.

        Args:
            folder: the folder or file.
            read_later: leave it to `read_contents` to read the files that are labelled, so that a
                change never waits for the disk. Until then a file that is moved is not found again.
            empty: take a folder without any image, too, in which images are yet to come; classes
                can be added to it before.
            progress: told how many files of the journal are looked at, and of how many.

        Raises:
            DatasetError: the photos cannot be used.
            WorkspaceError: the journal is damaged, or of a later version.
            OutputError: there is no place for a journal.
        """
        source = Path(folder)
        files = find_files(source, empty=empty)
        path, note = journal_path(source)
        journal = Journal(path)
        try:
            workspace = cls(source, files, journal, note=note, read_later=read_later, empty=empty)
            workspace._found(progress=progress)
        except BaseException:
            journal.close()
            raise
        return workspace

    def close(self) -> None:
        """Let the journal go."""
        self._journal.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def root(self) -> Path:
        """The folder that paths are relative to."""
        return self._scan.files.root

    @property
    def journal(self) -> Path:
        """The file of the journal; the first change makes it."""
        return self._journal.path

    @property
    def last_change(self) -> int:
        """The number of the last change, for `changes_since`; 0 where there was none."""
        return self._journal.last_event()

    def classes(self) -> list[str]:
        """Return the names of the classes as they are now, sorted; those without files too."""
        with self._journal.reading():
            return self._names().all

    def files(self) -> ImageFiles:
        """Return the files with the labels that hold now, those set aside left out.

        A label is the one that a person gave, else that of the folder under its present name.
        """
        everything, aside = self.everything()
        return everything.setting_aside(aside)

    def everything(self) -> tuple[ImageFiles, dict[str, str]]:
        """Return all files with the labels that hold now, and why some of them are set aside.

        The files stand in the same order until the folder is scanned again.
        """
        with self._journal.reading():
            items, names = self._journal.marked(), self._names()
        scan = self._scan
        found, scanned = self._found(items, scan=scan), scan.files
        number = {name: place for place, name in enumerate(names.all)} | {"": -1}
        by_folder = [number[names.now(name)] for name in scanned.class_names] + [-1]
        labels = np.array(by_folder, dtype=np.int64)[scanned.labels]
        rows = {path: row for row, path in enumerate(scanned.paths)}
        for path, item in found.at.items():
            if item.label is not None:
                labels[rows[path]] = number[item.label]
        relabelled = replace(
            scanned,
            labels=labels,
            class_names=tuple(names.all),
            notes=(*notes_on_labels(scanned, labels), *self._notes(found)),
        )
        aside = {path: one.aside for path, one in found.at.items() if one.aside is not None}
        return relabelled, aside

    def select(self, names: Iterable[str | Path]) -> list[str]:
        """Return the paths of the files that `names` mean, relative to the root.

        A name is a path, from the root or from the current folder; a folder, for all files in it;
        a pattern with *, ? or [; or the end of a path that no other file has.

        Raises:
            WorkspaceError: a name means no file, or could mean several.
        """
        return select(self._scan.files, names, self.source)

    def label(
        self, paths: str | Path | Iterable[str | Path], class_name: str | None
    ) -> Step | None:
        """Give files a class, in one step.

        Args:
            paths: the files, relative to the root, or absolute.
            class_name: one of `classes`; None takes the label away.

        Returns:
            The step, or None where nothing changes.

        Raises:
            WorkspaceError: there is no such file or class, or the journal cannot be used.
            OutputError: the journal cannot be written.
        """
        known = self._paths(paths)
        if class_name is not None:
            self._names().known(class_name)  # before a journal is made
        with self._changing(known):
            label = "" if class_name is None else self._names().known(class_name)
            changes = {
                path: ItemChange(item.id, item.label, item.aside, label, item.aside)
                for path, item in self._items(known).items()
                if item.label != label
            }
            action = LabelFiles(tuple(changes), label or None)
            step = self._journal.record(action, list(changes.values())) if changes else None
        return self._read(step)

    def set_aside(self, paths: str | Path | Iterable[str | Path], reason: str) -> Step | None:
        """Leave files out, in one step.

        Args:
            paths: the files, relative to the root, or absolute.
            reason: why, on one line.

        Returns:
            The step, or None where nothing changes.

        Raises:
            WorkspaceError: there is no such file, or the journal cannot be used.
            OutputError: the journal cannot be written.
        """
        known, reason = self._paths(paths), " ".join(clean_name(reason).split())
        if not 0 < len(reason) <= _LONGEST_REASON:
            received = f"{len(reason):,}; shorten it." if reason else "none; give one."
            raise WorkspaceError(
                f"a file is set aside for a reason, of at most {_LONGEST_REASON:,} characters, "
                f"received {received}"
            )
        with self._changing(known):
            changes = {
                path: ItemChange(item.id, item.label, item.aside, item.label, reason)
                for path, item in self._items(known).items()
                if item.aside != reason
            }
            action = SetFilesAside(tuple(changes), reason)
            step = self._journal.record(action, list(changes.values())) if changes else None
        return self._read(step)

    def keep(self, paths: str | Path | Iterable[str | Path]) -> Step | None:
        """Take back files that were set aside with `set_aside`, in one step.

        Args:
            paths: the files, relative to the root, or absolute.

        Returns:
            The step, or None where nothing changes.

        Raises:
            WorkspaceError: there is no such file, or the journal cannot be used.
            OutputError: the journal cannot be written.
        """
        known = self._paths(paths)
        with self._changing(known):
            changes = {
                path: ItemChange(item.id, item.label, item.aside, item.label, None)
                for path, item in self._items(known).items()
                if item.aside is not None
            }
            action = KeepFiles(tuple(changes))
            return self._journal.record(action, list(changes.values())) if changes else None

    def rename_class(self, old: str, new: str) -> Step:
        """Call a class otherwise: all its files, and those that come into its folder later.

        Raises:
            WorkspaceError: there is no class `old`; or `new` is taken, or no name for a folder.
            OutputError: the journal cannot be written.
        """
        self._names().new(new, instead_of=self._names().known(old))  # before a journal is made
        with self._changing():
            names = self._names()
            old = names.known(old)
            new = names.new(new, instead_of=old)
            return self._rename(names, [old], new, RenameClass(old, new))

    def merge_classes(self, names: str | Iterable[str], into: str) -> Step:
        """Make classes part of another one: all their files go to it.

        Args:
            names: the classes that end.
            into: the class that their files go to.

        Raises:
            WorkspaceError: there is no such class, or `into` is among `names`.
            OutputError: the journal cannot be written.
        """
        wanted = [names] if isinstance(names, str) else list(names)
        self._names().mergeable(wanted, into)  # before a journal is made
        with self._changing():
            known = self._names()
            ending, into = known.mergeable(wanted, into)
            return self._rename(known, ending, into, MergeClasses(tuple(ending), into))

    def add_class(self, name: str) -> Step:
        """Make a class that has no file yet.

        Raises:
            WorkspaceError: it is taken, or no name for a folder.
            OutputError: the journal cannot be written.
        """
        self._names().new(name)  # before a journal is made
        with self._changing():
            name = self._names().new(name)
            row = self._journal.class_row(None)
            return self._journal.record(AddClass(name), [], [(row, None, name)])

    def folder_for(self, class_name: str, *, split: str | None = None) -> Path:
        """Return the folder in which new images are read as of a class; it need not be there.

        A class that was renamed has the folder that it had. A name that is no class yet may be
        one: its folder would make it.

        Args:
            class_name: what the class is called now, or is to be called.
            split: the one that new images are to be in; by default "train", where there are splits.

        Raises:
            WorkspaceError: no folder would be read so, as in a zip file, or the name cannot be one.
        """
        names, files = self._names(), self._scan.files
        if class_name in names.all:
            folders, added = names.called(class_name)
            folders += [class_name] if added or not folders else []
        else:
            folders = [names.new(class_name)]
        if not any(names.now(folder) == class_name for folder in folders):
            raise WorkspaceError(
                f"images in a folder {shown(class_name)} are those of the class "
                f"{names.now(folders[0])!r}, as it was renamed; choose another name."
            )
        folders = [folder for folder in folders if names.now(folder) == class_name]
        return files.root / class_folder(files, self.source, folders, split=split)

    def undo(self, count: int = 1, *, last: int | None = None) -> list[Step]:
        """Undo the last steps, whoever made them; what they changed is as before.

        Args:
            count: how many, at least 1.
            last: the number of the step that is to be undone first. Where another process has made
                or undone one since, nothing is undone.

        Returns:
            The steps, the last one first.

        Raises:
            WorkspaceError: there is nothing to undo, or `last` is not the last step.
            OutputError: the journal cannot be written.
        """
        _check_count(count)
        if not self._journal.last_step():
            raise WorkspaceError("there is no step to undo.")
        with self._changing():
            newest = self._journal.last_step()
            if last is not None and last != newest:
                raise WorkspaceError(
                    f"step {last} is not the last one, which is {newest}: somebody else has made "
                    "or undone a step meanwhile; look again, then undo."
                )
            return self._journal.undo(count)

    def redo(self, count: int = 1) -> list[Step]:
        """Make steps once more that were undone; a new step after an undo ends that.

        Args:
            count: how many, at least 1.

        Returns:
            The steps, the first one first.

        Raises:
            WorkspaceError: there is nothing to redo.
            OutputError: the journal cannot be written.
        """
        _check_count(count)
        if all(step.done for step in self._journal.steps(1)):
            raise WorkspaceError("there is no step to redo.")
        with self._changing():
            return self._journal.redo(count)

    def steps(self, most: int | None = None) -> list[Step]:
        """Return the history in its order: the steps that are done, then those to be redone.

        Args:
            most: how many, from the end; by default all.
        """
        with self._journal.reading():
            return self._journal.steps(most)

    def changes_since(self, number: int) -> list[Change]:
        """Return what happened since, in this process or another: to follow it, as a window does.

        Args:
            number: that of the last change that is known, as `last_change` gives it; 0 for all.
        """
        with self._journal.reading():
            return self._journal.events(number)

    def rescan(self, *, progress: Progress | None = None) -> None:
        """Look at the folder again: for files that came, went, moved or changed.

        Args:
            progress: told how many files of the journal are looked at, and of how many.

        Raises:
            DatasetError: the photos cannot be used any more.
        """
        self._scan = self._scan_of(find_files(self.source, empty=self._empty))
        self._found(progress=progress)

    def check(self, *, reread: bool = False, progress: Progress | None = None) -> FolderCheck:
        """Compare the journal with the folder as it was when it was opened or scanned last.

        Args:
            reread: read each file that was labelled or set aside, also where its size and time of
                change are as before.
            progress: told how many files of the journal are looked at, and of how many.
        """
        with self._journal.reading():
            items, marked = self._journal.items(), self._journal.marked()
        scan = self._scan
        found = self._found(marked, scan=scan, reread=reread, progress=progress)
        return compare(items, found, scan.files.paths, scan.follower, self._moved)

    def accept(self) -> None:
        """Take the folder as it is now for what `check` compares with.

        New files are new no more, and files that vanished before anybody said something of them
        are forgotten. What was said of files is kept.

        Raises:
            OutputError: the journal cannot be written.
        """
        with self._changing():
            items = self._journal.items()
            known = {item.path for item in items}
            scan = self._scan
            there = set(scan.files.paths)
            unmarked = [one for one in items if one.label is None and one.aside is None]
            self._journal.forget_items(one.id for one in unmarked if one.path not in there)
            self._add(path for path in scan.files.paths if path not in known)
            states = {one: scan.follower.state(one.path) for one in unmarked}
            self._journal.update_items(
                one._replace(size=state.size, mtime=state.mtime)
                for one, state in states.items()
                if state is not None and one.content is None and state.size != one.size
            )
            self._moved.clear()

    def apply(
        self,
        target: str | Path,
        *,
        force: bool = False,
        link: bool = False,
        progress: Progress | None = None,
    ) -> Applied:
        """Write the labels that hold now, as a manifest or as a new folder; whole or not at all.

        A name that ends with .csv or .tsv is a manifest, with the columns path, label, split and
        group. Any other is a new folder with a folder for each class, in folders for the splits
        where there are any, with copies of the files. Both are read back before they take their
        place, and must say the same. Files that are set aside are left out.

        Args:
            target: the file or folder to write.
            force: replace a manifest that is there.
            link: make hard links in a new folder instead of copies: they take no space, but who
                changes the one file changes the other.
            progress: told how many files are copied, and of how many.

        Returns:
            What was written: where, how many images and classes, and what is not in it.

        Raises:
            OutputError: it cannot be written, or is there already.
            WorkspaceError: the labels, or names of files, cannot be written so that they are read
                back as they are; the message says what to do instead.
        """
        target = Path(target)
        files = self.files()
        if target.suffix.lower() in (".csv", ".tsv") and not target.is_dir():
            return write_manifest(files, target, source=self.source, force=force)
        return write_folder(files, target, source=self.source, link=link, progress=progress)

    def read_contents(self, *, progress: Progress | None = None) -> int:
        """Read the files that are labelled or set aside and were not read yet; return how many.

        By their content files are found again when they are moved, and told from others that take
        their place. What cannot be read or written down now is tried again by the next call.

        Args:
            progress: told how many files are read, and of how many.
        """
        waiting, follower = self._journal.unread(), self._scan.follower
        read = 0
        for start in range(0, len(waiting), _AT_ONCE):
            part = [follower.with_content(item) for item in waiting[start : start + _AT_ONCE]]
            known = [item for item in part if item.content is not None]
            try:
                with self._journal.writing():
                    self._journal.fill_contents(known)
            except LamplighterError:  # the labels are safe: a full disk fails the next step
                break
            read += len(known)
            if progress is not None:
                progress(min(start + _AT_ONCE, len(waiting)), len(waiting))
        return read

    def _scan_of(self, files: ImageFiles) -> _Scan:
        return _Scan(files, Follower(files.root, files.paths, self._journal.contents))

    def _names(self) -> ClassNames:
        return ClassNames(
            self._scan.files.class_names, self._journal.classes(), self._journal.labels()
        )

    def _paths(self, paths: str | Path | Iterable[str | Path]) -> list[str]:
        given = [paths] if isinstance(paths, str | os.PathLike) else list(paths)
        return known_paths(self._scan.files, given)

    @contextlib.contextmanager
    def _changing(self, paths: Sequence[str] = ()) -> Iterator[None]:
        """Change the journal in one transaction; it knows the files at `paths` by then."""
        if paths:
            self._touch(paths)
        with self._journal.writing():
            if self._journal.is_empty():
                self._add(self._scan.files.paths)
            yield

    def _add(self, paths: Iterable[str]) -> None:
        follower = self._scan.follower
        states = ((path, follower.state(path)) for path in paths)
        self._journal.add_items((path, *state) for path, state in states if state is not None)

    def _items(self, paths: Sequence[str]) -> dict[str, Item]:
        """Return what the journal has of the files that are at `paths` now."""
        follower = self._scan.follower
        states = {path: state for path in paths if (state := follower.state(path)) is not None}
        gone = [path for path in paths if path not in states]
        if gone:
            raise WorkspaceError(
                f"{shown(gone[0])} has vanished since the folder was read"
                + (f", and {len(gone) - 1:,} more" if gone[1:] else "")
                + "; nothing is changed: name the others, or open the folder anew."
            )

        def current() -> dict[str, Item]:
            return {
                path: item
                for path, items in self._journal.items_at(paths).items()
                for item in items
                if (item.size, item.mtime) == states[path]
            }

        known = current()
        if len(known) < len(states):
            new = (path for path in paths if path not in known)
            self._journal.add_items((path, *states[path]) for path in new)
            known = current()
        return {path: known[path] for path in paths}

    def _rename(
        self, names: ClassNames, old: Sequence[str], new: str, action: RenameClass | MergeClasses
    ) -> Step:
        changes: list[tuple[int, str | None, str | None]] = []
        for name in old:
            folders, added = names.called(name)
            changes += [
                (self._journal.class_row(folder), names.renamed(folder), new) for folder in folders
            ]
            changes += [(row.id, row.now, new) for row in added]
        items = [
            ItemChange(item.id, item.label, item.aside, new, item.aside)
            for item in self._journal.items_of_class(old)
        ]
        return self._journal.record(action, items, changes)

    def _found(
        self,
        items: Sequence[Item] | None = None,
        *,
        scan: _Scan | None = None,
        reread: bool = False,
        progress: Progress | None = None,
    ) -> Found:
        """Return where the files of the journal are, and write down what is new of that."""
        marked = self._journal.marked() if items is None else items
        with self._turn:
            follower = (scan or self._scan).follower
            found = follower.find(marked, reread=reread, progress=progress)
            self._moved.update(found.moved)
        self._write_down(found.seen, found.read)
        return found

    def _touch(self, paths: Sequence[str]) -> None:
        """Write down the time of change of files that have another one, but the same content."""
        known = self._journal.items_at(paths)
        with self._turn:
            touched = self._scan.follower.look_again(known)
        self._write_down(touched, [])

    def _write_down(self, seen: Sequence[Item], read: Sequence[Content]) -> None:
        if seen or read:
            # It would be found again the next time: not worth an error.
            with contextlib.suppress(LamplighterError), self._journal.writing():
                self._journal.update_items(seen)
                self._journal.keep_contents(read)

    def _notes(self, found: Found) -> list[str]:
        own = [self._note] if self._note else []
        return own + notes_on_journal(self.source, found, self._moved)

    def _read(self, step: Step | None) -> Step | None:
        if step is not None and not self._read_later:
            self.read_contents()
        return step


def _check_count(count: int) -> None:
    if count < 1:
        raise WorkspaceError(f"the number of steps must be at least 1, received {count}.")
