"""Contact sheets of the clinic: suspects with their labels, and images to label next."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from PIL import ImageOps

from lamplighter.auditing.sheet import CELL, thumbnail_of
from lamplighter.errors import DatasetError
from lamplighter.evaluation.sheets import contact_sheet
from lamplighter.text import printable_lines

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from PIL import Image

    from lamplighter.features.clinic.label_errors import Suspect
    from lamplighter.features.clinic.label_next import Proposal

MOST = 60  # images on one sheet
_GROUND = "#ececec"


def suspects_sheet(root: Path, suspects: Sequence[Suspect]) -> Image.Image:
    """Return the first 60 suspects as a picture: under each its label and what it rather is.

    Args:
        root: the folder that their paths are relative to.
        suspects: one or more.

    Raises:
        DatasetError: there is none.
    """
    captions = [f"{one.label} ->\n{one.suggestion}\n{_name(one.path)}" for one in suspects[:MOST]]
    return _sheet(root, [one.path for one in suspects[:MOST]], captions)


def proposals_sheet(root: Path, proposals: Sequence[Proposal]) -> Image.Image:
    """Return the first 60 images to label next as a picture: under each what it may be.

    Args:
        root: the folder that their paths are relative to.
        proposals: one or more.

    Raises:
        DatasetError: there is none.
    """
    captions = [
        f"{one.suggestion}?\n{one.runner_up}?\n{_name(one.path)}"
        if one.suggestion
        else _name(one.path)
        for one in proposals[:MOST]
    ]
    return _sheet(root, [one.path for one in proposals[:MOST]], captions)


def _sheet(root: Path, paths: Sequence[str], captions: Sequence[str]) -> Image.Image:
    if not paths:
        raise DatasetError("a sheet needs one image or more, received none.")
    box = (CELL, CELL)
    images = [ImageOps.pad(thumbnail_of(root / path, box), box, color=_GROUND) for path in paths]
    pixels = np.stack([np.asarray(image).transpose(2, 0, 1) for image in images])
    return contact_sheet(pixels, list(map(printable_lines, captions)))


def _name(path: str) -> str:
    return path.rpartition("/")[2].replace("\n", " ")
