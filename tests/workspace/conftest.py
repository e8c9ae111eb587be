"""A folder of files that are called like photos, and a data folder of the tests' own."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from lamplighter.workspace.workspace import Workspace

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

PATHS = ("cats/1.jpg", "cats/2.jpg", "cats/3.jpg", "dogs/1.jpg", "dogs/2.jpg", "lost.jpg")


def write(folder: Path, *paths: str) -> Path:
    """Write files, each with a content of its own."""
    for path in paths:
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes(f"content of {path}".encode("utf-8", "surrogateescape"))
    return folder


def labels(workspace: Workspace) -> dict[str, str]:
    """Return the class of each file, "" for none."""
    files = workspace.files()
    names = [*files.class_names, ""]
    return {path: names[label] for path, label in zip(files.paths, files.labels, strict=True)}


@pytest.fixture(autouse=True)
def data_home(tmp_path_factory, monkeypatch) -> Path:
    folder = tmp_path_factory.mktemp("data")
    monkeypatch.setenv("XDG_DATA_HOME", str(folder))
    return folder


@pytest.fixture
def photos(tmp_path) -> Path:
    return write(tmp_path / "photos", *PATHS)


@pytest.fixture
def opened(photos) -> Iterator[Callable[..., Workspace]]:
    """Open a folder, by default that of the photos; all are closed at the end."""
    made = []

    def call(folder: Path = photos, **options: object) -> Workspace:
        made.append(Workspace.open(folder, **options))
        return made[-1]

    yield call
    for workspace in made:
        workspace.close()


@pytest.fixture
def workspace(opened) -> Workspace:
    return opened()
