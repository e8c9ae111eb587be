"""A picture of what random augmentation makes of training images."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from lamplighter.errors import DatasetError
from lamplighter.evaluation.sheets import contact_sheet

if TYPE_CHECKING:
    from PIL import Image

    from lamplighter.datasets.batches import Augmentation
    from lamplighter.datasets.image_data import ImageData


def augmentation_sheet(
    data: ImageData,
    augmentation: Augmentation | None,
    *,
    split: str = "train",
    count: int = 6,
    draws: int = 5,
    seed: int = 0,
) -> Image.Image:
    """Return a row for each of a few images: as it is, and what augmentation makes of it.

    The images are of as many classes as there are, the same ones for the same seed. The random
    numbers of torch are left as they were.

    Args:
        data: where the images are taken from.
        augmentation: takes float images (B, C, H, W) in 0..1; None leaves them as they are.
        split: which split of the data.
        count: how many images, at most.
        draws: how many changed forms of each.
        seed: of the choice and of the changes.

    Raises:
        UnknownSplitError: the data has no such split.
        DatasetError: it has no image, or a number is less than 1.
    """
    import torch

    images, labels = data[split].images, data[split].labels
    if not len(images) or min(count, draws) < 1:
        raise DatasetError(
            "a sheet needs one image and one draw or more, received "
            f"{len(images)} images, of which {count} to show, and {draws} draws."
        )
    chosen = _chosen(labels, count, seed)
    originals = torch.from_numpy(images[chosen])  # (M, C, H, W)
    repeated = originals.repeat_interleave(draws, dim=0).float().div_(255)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        changed = augmentation(repeated) if augmentation is not None else repeated
    changed = changed.clamp(0, 1).mul(255).round().to(torch.uint8)
    rows = torch.cat(
        [originals[:, None], changed.view(len(chosen), draws, *changed.shape[1:])], dim=1
    )
    captions = [
        caption
        for label in labels[chosen]
        for caption in (
            f"{data.class_names[label]}\nas it is",
            *[f"drawn {n + 1}" for n in range(draws)],
        )
    ]
    return contact_sheet(rows.flatten(0, 1).numpy(), captions, columns=1 + draws)


def _chosen(labels: np.ndarray[tuple[int], np.dtype[np.int64]], count: int, seed: int) -> list[int]:
    """Return the places of `count` images, of a class not seen yet as long as there is one."""
    order = np.random.default_rng(seed).permutation(len(labels))
    taken: dict[int, int] = {}
    turns = []
    for place in order:
        label = int(labels[place])
        taken[label] = taken.get(label, 0) + 1
        turns.append((taken[label], int(place)))
    return [place for _, place in sorted(turns, key=lambda turn: turn[0])[:count]]
