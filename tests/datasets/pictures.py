"""Pictures that differ from one another as photos do, and data sets made of them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from lamplighter.datasets.files import ImageFiles

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path


def picture(seed: int, size: tuple[int, int] = (160, 120)) -> Image.Image:
    """A smooth pattern of soft colours, another for each seed, and a sharp dark bar on it."""
    coarse = np.random.default_rng(seed).integers(20, 200, (6, 6, 3), dtype=np.uint8)
    image = Image.fromarray(coarse).resize(size, Image.Resampling.BICUBIC)
    image.paste((10, 10, 10), (size[0] // 2, size[1] // 3, size[0] * 2 // 3, size[1] // 2))
    return image


def files_of(
    root: Path,
    paths: Mapping[str, str] | Sequence[str],
    *,
    groups: Sequence[str] | None = None,
    class_names: Sequence[str] | None = None,
) -> ImageFiles:
    """A data set of paths "CLASS/NAME", with their splits where `paths` is a mapping."""
    splits = tuple(paths.values()) if not isinstance(paths, list | tuple) else ("",) * len(paths)
    names = [path.rpartition("/")[0] for path in paths]
    classes = tuple(class_names or sorted(set(names)))
    return ImageFiles(
        name="pictures",
        root=root,
        paths=tuple(paths),
        labels=np.array([classes.index(n) if n else -1 for n in names], dtype=np.int64),
        class_names=classes,
        splits=splits,
        groups=tuple(groups or [""] * len(names)),
    )


def saved(root: Path, path: str, image: Image.Image, **options: object) -> Path:
    """Save `image` at root / path, making its folder."""
    full = root / path
    full.parent.mkdir(parents=True, exist_ok=True)
    image.save(full, **options)
    return full
