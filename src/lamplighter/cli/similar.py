"""`lamplighter similar`: ask an index of similar images."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from lamplighter.cli import options
from lamplighter.cli.options import AsJson
from lamplighter.cli.outputs import check_new, save_picture
from lamplighter.cli.terminal import bar, printable
from lamplighter.errors import ImageError
from lamplighter.text import counted, printable_lines

if TYPE_CHECKING:
    from collections.abc import Sequence

    from PIL import Image

    from lamplighter.features.index.index import Hit, Index

_TILE = 224  # pixels; the longer side of an image on the sheet
_MISSING = "#d8d8d8"


def _at_least_one(count: int) -> int:
    if count < 1:
        raise typer.BadParameter(f"it must be at least 1, received {count}.")
    return count


def similar(
    index: Annotated[
        Path,
        typer.Argument(metavar="PHOTOS.index", help="The index that `embed FOLDER --index` wrote."),
    ],
    image: Annotated[
        Path | None,
        typer.Argument(
            metavar="[IMAGE]", help="The image to compare with; it need not be in the index."
        ),
    ] = None,
    k: Annotated[
        int,
        typer.Option("-k", metavar="K", callback=_at_least_one, help="Number of images to find."),
    ] = 12,
    where: Annotated[
        list[str] | None,
        typer.Option(
            metavar="KEY=VALUE", help="Search only images with this label or split: label=NAME."
        ),
    ] = None,
    duplicates: Annotated[
        bool,
        typer.Option("--duplicates", metavar="", help="List the near-duplicates in the index."),
    ] = False,
    threshold: Annotated[
        float,
        typer.Option(metavar="S", help="Similarity from which two images are near-duplicates."),
    ] = 0.95,
    sheet: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Draw the images found to this file."),
    ] = None,
    as_json: AsJson = False,
    force: Annotated[bool, options.force("Overwrite the picture if it exists.")] = False,
) -> None:
    """Find the most similar images, or near-duplicates.

    The similarity of two images is the cosine of the angle between their features: 1 for identical
    images.
    """
    if (image is None) != duplicates:
        raise typer.BadParameter("either an IMAGE or --duplicates is needed; give one of them.")
    if sheet is not None:
        if image is None:
            raise typer.BadParameter("--sheet needs an IMAGE.")
        check_new(sheet, "--sheet", force=force)
    chosen = _conditions(where or [])
    from lamplighter.features.index.index import Index

    with Index.open(index) as opened:
        if image is None:
            if chosen:
                raise typer.BadParameter("--where needs an IMAGE.")
            _list_duplicates(opened, threshold, as_json=as_json)
            return
        from lamplighter.datasets.zipped_images import ZipPaths
        from lamplighter.features.similar import similar as find

        # Its path may lead through a zip file, as those that are printed do.
        (hits,) = find(opened, [ZipPaths().real(image)], k, where=chosen)
    if as_json:
        document = {"index": str(index), "image": str(image), "hits": [_row(hit) for hit in hits]}
        typer.echo(json.dumps(document, indent=2))
    else:
        _print(hits)
    if sheet is not None:
        _write_sheet(image, hits, sheet)


def _conditions(given: Sequence[str]) -> dict[str, str]:
    conditions: dict[str, str] = {}
    for text in given:
        key, equals, value = text.partition("=")
        if not equals:
            raise typer.BadParameter(
                f"--where must be KEY=VALUE, such as label=cat, received {text!r}."
            )
        if key in conditions:
            raise typer.BadParameter(f"--where must name each key once, received {key!r} again.")
        conditions[key] = value
    return conditions


def _list_duplicates(index: Index, threshold: float, *, as_json: bool) -> None:
    with bar("comparing") as progress:
        groups = index.near_duplicates(threshold, progress=progress)
    if as_json:
        rows = [[_row(hit) for hit in group] for group in groups]
        typer.echo(json.dumps({"threshold": threshold, "groups": rows}, indent=2))
        return
    images = sum(map(len, groups))
    for number, group in enumerate(groups, start=1):
        typer.echo(f"group {number}: {counted(len(group), 'image')}")
        _print(group, indent="  ")
    typer.echo(
        f"{images:,} of {counted(len(index), 'image')} have a near-duplicate (similarity "
        f"{threshold:g} or more), in {counted(len(groups), 'group')}"
    )


def _print(hits: Sequence[Hit], indent: str = "") -> None:
    """Print one line for each: file, label, similarity."""
    from lamplighter.files.naming import as_given

    files = [printable(as_given(hit.file)) for hit in hits]
    labels = [printable(hit.label) for hit in hits]
    width, room = max(map(len, files), default=0), max(map(len, labels), default=0)
    for hit, file, label in zip(hits, files, labels, strict=True):
        gone = "" if hit.file.exists() else "  the file no longer exists"
        typer.echo(f"{indent}{file:<{width}}  {label:<{room}}  {hit.similarity:.4f}{gone}")


def _row(hit: Hit) -> dict[str, Any]:
    from lamplighter.files.naming import as_given

    return {
        "file": as_given(hit.file),
        "path": hit.path,
        "label": hit.label or None,
        "split": hit.split or None,
        "similarity": round(hit.similarity, 6),
        "vanished": not hit.file.exists(),
    }


def _write_sheet(image: Path, hits: Sequence[Hit], sheet: Path) -> None:
    """Write the image that was asked for and those found, each with label and similarity."""
    import numpy as np
    from PIL import Image as Images

    from lamplighter.datasets.zipped_images import ZipPaths
    from lamplighter.evaluation.sheets import contact_sheet

    pictures = [_small(ZipPaths().real(image)), *(_small(hit.file) for hit in hits)]
    known = [picture for picture in pictures if picture is not None]
    size = (max(picture.width for picture in known), max(picture.height for picture in known))
    tiles = []
    for picture in pictures:
        tile = Images.new("RGB", size, _MISSING if picture is None else "white")
        if picture is not None:
            tile.paste(picture, ((size[0] - picture.width) // 2, (size[1] - picture.height) // 2))
        tiles.append(np.asarray(tile).transpose(2, 0, 1))
    captions = [f"like this one\n{image.name}"]
    for hit, picture in zip(hits, pictures[1:], strict=True):
        state = "" if picture is not None else "missing or unreadable\n"
        captions.append(f"{hit.similarity:.3f} {hit.label}\n{state}{hit.file.name}")
    save_picture(contact_sheet(np.stack(tiles), list(map(printable_lines, captions))), sheet)


def _small(file: Path) -> Image.Image | None:
    """Return the image in `file`, its longer side `_TILE` pixels at most, or None without it."""
    from lamplighter.images.decoding import flatten_alpha, open_image

    try:
        picture = flatten_alpha(open_image(file, at_least=(_TILE, _TILE))).convert("RGB")
    except ImageError:
        return None
    picture.thumbnail((_TILE, _TILE))
    return picture
