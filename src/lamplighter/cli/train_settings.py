"""The settings of a training, kept beside its checkpoint for --resume."""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from lamplighter.cli.terminal import quoted
from lamplighter.errors import OutputError, ResumeError

if TYPE_CHECKING:
    from pathlib import Path

    from lamplighter.images.preprocessing import Fit
    from lamplighter.training.balancing import Balance

_FILE = "settings.json"
_CHECKPOINT = "last.ckpt"
# What a training leaves in its folder; --force removes it, and nothing else.
_TRACES = (_CHECKPOINT, _FILE, "history.csv", "history.jsonl", "splits.csv")


@dataclass(frozen=True, kw_only=True)
class Settings:
    """All that decides what is learned, and in which order."""

    data: str
    recipe: str
    model: str
    epochs: int
    seed: int
    validation: float
    size: str | None = None
    fit: Fit | Literal["full"] | None = None
    group: str | None = None
    augment: bool | None = None
    balance: Balance = "none"


def has_checkpoint(folder: Path) -> bool:
    """Return whether a training was stopped there after an epoch or more."""
    return (folder / _CHECKPOINT).is_file()


def check_unused(folder: Path) -> None:
    """Refuse a folder that an earlier training has left something in.

    Raises:
        OutputError: it holds a checkpoint or a history.
    """
    if has_checkpoint(folder):
        raise OutputError(
            f"{folder} holds an interrupted training: continue it with --resume, or "
            "start again with --force."
        )
    if (folder / "history.csv").exists():
        raise OutputError(
            f"{folder} holds the history of an earlier training: choose another "
            "--out, or overwrite it with --force."
        )


def begin(folder: Path, settings: Settings) -> None:
    """Make `folder`, free of what an earlier training left, and keep `settings` in it.

    Raises:
        OutputError: the folder cannot be written to.
    """
    from lamplighter.files.writing import written_whole

    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name in _TRACES:
            (folder / name).unlink(missing_ok=True)
    except OSError as error:
        raise OutputError(
            f"{folder}, for the history, cannot be written to: {error.strerror}; "
            "choose another --out."
        ) from error
    with written_whole(folder / _FILE) as file:
        file.write(json.dumps(dataclasses.asdict(settings), indent=2).encode() + b"\n")


def resumed(folder: Path, asked: dict[str, Any]) -> Settings:
    """Return the settings of the training that was stopped in `folder`.

    Args:
        folder: where its checkpoint is.
        asked: what the user asks for now, by name.

    Raises:
        ResumeError: there is nothing to resume, its settings are damaged, or others are asked for.
    """
    if not has_checkpoint(folder):
        raise ResumeError(
            f"there is nothing to resume: {folder} holds no {_CHECKPOINT}; start without --resume."
        )
    settings = _read(folder / _FILE)
    for name, value in asked.items():
        begun = getattr(settings, name)
        if begun != value:
            raise ResumeError(
                f"the training in {folder} was started with {name} {begun}, received "
                f"{value}; {_as_begun(name, begun)}, or start again with --force and "
                "without --resume."
            )
    return settings


def _as_begun(name: str, begun: Any) -> str:
    """Return how to ask for what the training was begun with."""
    return f"give {quoted(begun)} for DATA" if name == "data" else f"resume without --{name}"


def forget_checkpoint(folder: Path) -> None:
    """Remove what only an unfinished training needs."""
    (folder / _CHECKPOINT).unlink(missing_ok=True)


def _read(path: Path) -> Settings:
    try:
        values = json.loads(path.read_bytes())
        settings = Settings(**values)
    except (OSError, ValueError, TypeError) as error:
        raise ResumeError(
            f"{path} is missing or damaged, so the settings of the training are "
            "unknown; start again with --force and without --resume."
        ) from error
    kinds = {"data": str, "recipe": str, "model": str, "epochs": int, "seed": int}
    wrong = [name for name, kind in kinds.items() if type(values[name]) is not kind]
    texts = ("size", "fit", "group", "balance")
    wrong += [name for name in texts if not isinstance(values.get(name), str | None)]
    if wrong or not isinstance(settings.validation, int | float):
        raise ResumeError(f"{path} is damaged; start again with --force and without --resume.")
    return settings
