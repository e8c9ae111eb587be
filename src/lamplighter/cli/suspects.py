"""`lamplighter suspects`: labels that are probably wrong, and what to label next."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from lamplighter.cli import options
from lamplighter.cli.backbone_arguments import (
    Backbone,
    FitOption,
    Mean,
    Size,
    Std,
    chosen_backbone,
)
from lamplighter.cli.data_arguments import found_files, say, say_set_aside
from lamplighter.cli.options import AsJson, ImageFolder
from lamplighter.cli.outputs import check_picture, save_picture
from lamplighter.cli.terminal import bar, printable, wrapped
from lamplighter.text import counted

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lamplighter.features.clinic.label_errors import LabelErrors
    from lamplighter.features.clinic.label_next import Proposal
    from lamplighter.features.extraction import Features

_LIMIT = 20
_INDENT = 4


def suspects(
    folder: ImageFolder,
    backbone: Backbone = "efficientnet-lite0",
    following: Annotated[
        int | None,
        typer.Option(
            "--next",
            metavar="N",
            min=1,
            help="Name instead N images without a label that are best labeled next: files in a "
            "folder unlabelled, or with an empty label in a CSV file.",
        ),
    ] = None,
    limit: Annotated[
        int,
        typer.Option(metavar="N", min=1, help="How many suspects are shown at most."),
    ] = _LIMIT,
    sheet: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", help="Draw them, at most 60, with label and suggestion: a .png."
        ),
    ] = None,
    group: Annotated[
        str | None,
        typer.Option(
            metavar="REGEX",
            help="A regular expression. Files whose names have the same match belong together.",
        ),
    ] = None,
    fit: FitOption = None,
    size: Size = None,
    mean: Mean = None,
    std: Std = None,
    seed: Annotated[
        int, typer.Option(metavar="N", min=0, help="The same seed gives the same answer.")
    ] = 0,
    force: Annotated[bool, options.force("Overwrite the sheet if it exists.")] = False,
    as_json: AsJson = False,
) -> None:
    """Find labels that are probably wrong, and say why.

    A model judges each image without having learned from it or its copies; its nearest images are
    asked as well. Nothing is changed: look at each, and decide yourself. The exit code is 0
    whatever was found.
    """
    options.checked_seed(seed)
    if sheet is not None:
        check_picture(sheet, "--sheet", force=force)
    from lamplighter.features.extraction import embed

    files = found_files(folder, group=group)
    for note in files.notes:
        say(f"note: {note}")
    _, network = chosen_backbone(backbone, files, fit, size=size, mean=mean, std=std)
    with bar("embedding") as progress:
        features = embed(network, files, progress=progress)
    say_set_aside(features.files.set_aside)
    if following is None:
        _tell_errors(features, limit=limit, seed=seed, sheet=sheet, as_json=as_json)
    else:
        _tell_next(features, count=following, seed=seed, sheet=sheet, as_json=as_json)


def _tell_errors(
    features: Features, *, limit: int, seed: int, sheet: Path | None, as_json: bool
) -> None:
    from lamplighter.features.clinic.label_errors import find_label_errors
    from lamplighter.features.clinic.sheet import suspects_sheet

    found = find_label_errors(features, seed=seed)
    if sheet is not None and found.suspects:
        save_picture(suspects_sheet(features.files.root, found.suspects[:limit]), sheet)
    if as_json:
        document = found.to_dict()
        document["suspects"] = document["suspects"][:limit]
        document["found"] = len(found)
        document["sheet"] = str(sheet) if sheet is not None and found.suspects else None
        typer.echo(json.dumps(document, indent=2))
        return
    typer.echo("\n".join(_lines(found, limit)))
    if sheet is not None:
        typer.echo(printable(f"wrote {sheet}" if found.suspects else "there is nothing to draw"))


def _lines(found: LabelErrors, limit: int) -> Iterator[str]:
    yield wrapped(found.summary())
    for one in found.suspects[:limit]:
        yield ""
        yield printable(f"{one.path}: {one.label} -> {one.suggestion}")
        for reason in one.reasons:
            yield wrapped(" " * _INDENT + printable(reason), _INDENT + 2)
    if len(found) > limit:
        yield ""
        yield f"and {len(found) - limit:,} more, less suspicious ones; --limit shows them."


def _tell_next(
    features: Features, *, count: int, seed: int, sheet: Path | None, as_json: bool
) -> None:
    from lamplighter.features.clinic.label_next import label_next
    from lamplighter.features.clinic.sheet import proposals_sheet

    proposals = label_next(features, count=count, seed=seed)
    if sheet is not None:
        save_picture(proposals_sheet(features.files.root, proposals), sheet)
    if as_json:
        document = {
            "next": [one.to_dict() for one in proposals],
            "sheet": str(sheet) if sheet is not None else None,
        }
        typer.echo(json.dumps(document, indent=2))
        return
    typer.echo("\n".join(_next_lines(features, proposals)))
    if sheet is not None:
        typer.echo(printable(f"wrote {sheet}"))


def _next_lines(features: Features, proposals: tuple[Proposal, ...]) -> Iterator[str]:
    without = int((features.files.labels < 0).sum())
    what = counted(len(proposals), "image")
    yield f"{what} to label next, of {without:,} without a label:"
    for one in proposals:
        yield wrapped(printable(f"{one.path}: {one.reason}"), _INDENT)
