"""What a person can do to a folder of photos, as data: each action goes to a dict and back."""

from __future__ import annotations

import types
from dataclasses import asdict, dataclass, fields
from typing import TYPE_CHECKING, Any, ClassVar, get_type_hints

from lamplighter.errors import WorkspaceError
from lamplighter.files.naming import shown
from lamplighter.text import counted, listed

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True)
class Action:
    """What all actions have in common.

    Attributes:
        kind: one word, which tells the actions apart in a dict.
    """

    kind: ClassVar[str]

    def to_dict(self) -> dict[str, Any]:
        """Return the action as plain values: its kind and its attributes."""
        return {"kind": self.kind, **asdict(self)}

    @property
    def sentence(self) -> str:
        """What is done, on one line."""
        raise NotImplementedError


@dataclass(frozen=True)
class FileAction(Action):
    """An action on files.

    Attributes:
        paths: the files that it changes, relative to the root.
    """

    paths: tuple[str, ...]

    @property
    def _files(self) -> str:
        return shown(self.paths[0]) if len(self.paths) == 1 else counted(len(self.paths), "file")


@dataclass(frozen=True)
class LabelFiles(FileAction):
    """Give files a class.

    Attributes:
        paths: the files.
        class_name: their class; None takes their label away.
    """

    kind = "label"
    class_name: str | None

    @property
    def sentence(self) -> str:
        """What is done, on one line."""
        if self.class_name is None:
            return f"take the label of {self._files} away"
        return f"label {self._files} {shown(self.class_name)}"


@dataclass(frozen=True)
class SetFilesAside(FileAction):
    """Leave files out.

    Attributes:
        paths: the files.
        reason: why.
    """

    kind = "aside"
    reason: str

    @property
    def sentence(self) -> str:
        """What is done, on one line."""
        return f"set {self._files} aside: {shown(self.reason)}"


@dataclass(frozen=True)
class KeepFiles(FileAction):
    """Take back files that were set aside.

    Attributes:
        paths: the files.
    """

    kind = "keep"

    @property
    def sentence(self) -> str:
        """What is done, on one line."""
        return f"keep {self._files}"


@dataclass(frozen=True)
class RenameClass(Action):
    """Call a class otherwise.

    Attributes:
        old: its name so far.
        new: the new one.
    """

    kind = "rename"
    old: str
    new: str

    @property
    def sentence(self) -> str:
        """What is done, on one line."""
        return f"rename {shown(self.old)} to {shown(self.new)}"


@dataclass(frozen=True)
class MergeClasses(Action):
    """Make classes part of another one.

    Attributes:
        names: the classes that end.
        into: the class that their files go to.
    """

    kind = "merge"
    names: tuple[str, ...]
    into: str

    @property
    def sentence(self) -> str:
        """What is done, on one line."""
        return f"merge {listed([shown(name) for name in self.names])} into {shown(self.into)}"


@dataclass(frozen=True)
class AddClass(Action):
    """Make a class that has no file yet.

    Attributes:
        name: its name.
    """

    kind = "add"
    name: str

    @property
    def sentence(self) -> str:
        """What is done, on one line."""
        return f"add the class {shown(self.name)}"


KINDS: Mapping[str, type[Action]] = {
    kind.kind: kind
    for kind in (LabelFiles, SetFilesAside, KeepFiles, RenameClass, MergeClasses, AddClass)
}


def action_from_dict(values: Mapping[str, Any]) -> Action:
    """Return the action that `Action.to_dict` made a dict of.

    Raises:
        WorkspaceError: there is no such action, or what belongs to it is missing or of another
            type.
    """
    kind = KINDS.get(str(values.get("kind")))
    if kind is None:
        raise WorkspaceError(
            f"an action must be one of {', '.join(KINDS)}, received {values.get('kind')!r}."
        )
    given = {name: value for name, value in values.items() if name != "kind"}
    hints = get_type_hints(kind)
    names = [field.name for field in fields(kind)]
    if set(given) != set(names) or not all(_fits(given[name], hints[name]) for name in names):
        raise WorkspaceError(
            f"the action {kind.kind!r} needs {', '.join(names)}, received "
            f"{shown(str(dict(values)))[:200]}."
        )
    return kind(
        **{
            name: tuple(value) if isinstance(value, list) else value
            for name, value in given.items()
        }
    )


def _fits(value: Any, hint: Any) -> bool:
    if hint is str:
        return isinstance(value, str)
    if isinstance(hint, types.UnionType):  # str | None
        return value is None or isinstance(value, str)
    return isinstance(value, list | tuple) and all(isinstance(one, str) for one in value)
