"""Contact sheets of audit findings: duplicates side by side, blank and odd images."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from PIL import Image, ImageOps

from lamplighter.errors import ImageError
from lamplighter.evaluation.plots import NEUTRAL
from lamplighter.evaluation.preprocessing_preview import fits_sheet
from lamplighter.evaluation.sheets import contact_sheet
from lamplighter.images.decoding import flatten_alpha, open_image, within_memory
from lamplighter.text import printable

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from lamplighter.auditing.audit import Audit
    from lamplighter.auditing.findings import Finding

CELL = 224  # pixels of the longer side of an image in a sheet
_MOST_GROUPS, _MOST_IN_ROW, _MOST_IMAGES = 20, 4, 40
_MOST_FITTED = 8  # images of odd size that are shown under each fit
_SEEN = 224  # pixels a side that most pretrained networks see


def audit_sheets(audit: Audit) -> dict[str, Image.Image]:
    """Return a contact sheet for each finding about images that can be looked at.

    Copies stand in one row each, at most 4 of 20 groups; of other findings at most 40 images are
    shown. A file that has vanished since is shown as a grey field. Of 8 images of odd size a
    second sheet shows what a network of 224 x 224 pixels sees under each fit.

    Returns:
        Sheets by file name, such as "leakage-train-test.png".
    """
    sheets: dict[str, Image.Image] = {}
    for finding in audit.findings:
        name = sheet_name(finding)
        if not finding.files or finding.severity == "error" or finding.kind == "unlabelled":
            continue
        sheets[name] = _rows(audit, finding) if finding.groups else _grid(audit, finding)
        if finding.kind == "odd-sizes":
            sheets["odd-sizes-fits.png"] = _fits(audit, finding)
    return sheets


def sheet_name(finding: Finding) -> str:
    """Return the file name of the sheet of `finding`."""
    splits = finding.details.get("splits", [])
    safe = ("".join(c if c.isalnum() else "_" for c in str(split))[:60] for split in splits)
    return "-".join([finding.kind, *safe]) + ".png"


def thumbnail(audit: Audit, path: str, size: tuple[int, int]) -> Image.Image:
    """Return the image at `path`, RGB, its aspect ratio kept, at most (width, height) large."""
    return thumbnail_of(audit.files.root / path, size)


def thumbnail_of(file: Path, size: tuple[int, int]) -> Image.Image:
    """Return the image in `file`, RGB, at most (width, height) large; grey where it is bad."""
    try:
        with within_memory():
            image = flatten_alpha(open_image(file, at_least=size))
            return ImageOps.contain(image.convert("RGB"), size)
    except ImageError:
        return Image.new("RGB", size, NEUTRAL)


def _rows(audit: Audit, finding: Finding) -> Image.Image:
    """Return one sheet with a row for each group."""
    return _stacked([_row(audit, group[:_MOST_IN_ROW]) for group in finding.groups[:_MOST_GROUPS]])


def _fits(audit: Audit, finding: Finding) -> Image.Image:
    """Return one sheet with a row for each image: what a network sees of it under each fit."""
    return _stacked([_fitted(audit, path) for path in finding.files[:_MOST_FITTED]])


def _fitted(audit: Audit, path: str) -> Image.Image:
    title = printable(path)
    try:
        with within_memory():
            return fits_sheet(open_image(audit.files.root / path), _SEEN, title=title)
    except ImageError:
        return fits_sheet(Image.new("RGB", (CELL, CELL), NEUTRAL), _SEEN, title=title)


def _stacked(rows: Sequence[Image.Image]) -> Image.Image:
    """Return `rows` one below the other on white."""
    size = max(row.width for row in rows), sum(row.height for row in rows)
    sheet = Image.new("RGB", size, "white")
    top = 0
    for row in rows:
        sheet.paste(row, (0, top))
        top += row.height
    return sheet


def _row(audit: Audit, paths: Sequence[str]) -> Image.Image:
    images = [thumbnail(audit, path, (CELL, CELL)) for path in paths]
    box = max(i.width for i in images), max(i.height for i in images)
    pixels = np.stack([_boxed(image, box) for image in images])
    return contact_sheet(pixels, [_caption(path) for path in paths], columns=len(paths))


def _grid(audit: Audit, finding: Finding) -> Image.Image:
    chosen = finding.files[:_MOST_IMAGES]
    sizes = dict(zip(audit.usable.paths, audit.looks, strict=True))
    images = [thumbnail(audit, path, (CELL, CELL)) for path in chosen]
    box = max(i.width for i in images), max(i.height for i in images)
    scores = finding.details.get("scores", {})
    notes = [
        f"score {scores[p]:.2f}" if p in scores else f"{sizes[p].width} x {sizes[p].height}"
        for p in chosen
    ]
    captions = [f"{_caption(p)}\n{note}" for p, note in zip(chosen, notes, strict=True)]
    return contact_sheet(np.stack([_boxed(image, box) for image in images]), captions)


def _boxed(image: Image.Image, box: tuple[int, int]) -> NDArray[np.uint8]:
    """Return `image` in the middle of a grey box, shape (3, H, W)."""
    ground = Image.new("RGB", box, "#ececec")
    ground.paste(image, ((box[0] - image.width) // 2, (box[1] - image.height) // 2))
    return np.asarray(ground).transpose(2, 0, 1)


def _caption(path: str) -> str:
    """Return folders and name on two lines, in characters that can be drawn."""
    folder, _, name = path.rpartition("/")
    return f"{printable(folder)}\n{printable(name)}"
