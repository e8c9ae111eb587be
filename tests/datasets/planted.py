"""Folders of small pictures for tests."""

from __future__ import annotations

from typing import TYPE_CHECKING

from PIL import Image

if TYPE_CHECKING:
    from pathlib import Path


def put(root: Path, *paths: str, size: tuple[int, int] = (12, 8), colour: str = "red") -> None:
    """Write a picture to each of `paths` below `root`, with the folders that they need."""
    for path in paths:
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", size, colour).save(root / path)
