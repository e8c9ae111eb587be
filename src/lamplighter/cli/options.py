"""Options that several commands share, and checks of what they were given."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from lamplighter.errors import UnknownModelError
from lamplighter.names import same_name, unknown_name

if TYPE_CHECKING:
    from collections.abc import Iterable

# Options and arguments that several commands share. `--force` says what it replaces.
AsJson = Annotated[bool, typer.Option("--json", metavar="", help="Print one JSON document.")]
Bundle = Annotated[
    Path,
    typer.Argument(
        metavar="BUNDLE",
        help="The classifier: a bundle (NAME.lamp), or a pretrained network such as "
        "efficientnet-lite0.",
    ),
]
ImageFolder = Annotated[
    Path,
    typer.Argument(
        metavar="FOLDER", help="A folder of images, a .zip of it, or a CSV file of paths."
    ),
]
SplitName = Annotated[
    str | None,
    typer.Option(
        metavar="NAME",
        help="The split to use: train, val, test or test-NAME. Default: test, or all "
        "files of a folder without splits.",
    ),
]


def force(help: str) -> Any:  # noqa: A002 - as typer calls it
    """Return the option `--force`, whose help says what it replaces."""
    return typer.Option("--force", metavar="", help=help)


def at_least_one(epochs: int | None) -> int | None:
    """Refuse fewer epochs than one."""
    if epochs is not None and epochs < 1:
        raise typer.BadParameter(f"it must be at least 1, received {epochs}.")
    return epochs


def checked_seed(seed: int | None) -> int | None:
    """Refuse a seed that is not of 32 bits."""
    if seed is not None and not 0 <= seed < 2**32:
        raise typer.BadParameter(f"it must be in 0..{2**32 - 1}, received {seed}.")
    return seed


def known_network(name: str | None) -> str | None:
    """Refuse a network that cannot be trained from scratch."""
    from lamplighter.models.registry import find

    try:
        if name is not None:
            find(name, listed=True)
    except UnknownModelError as error:
        raise typer.BadParameter(str(error)) from error
    return name


def listed_names(kind: str, text: str, known: Iterable[str]) -> list[str]:
    """Return the names in `text`, which has commas between, as they are spelt in `known`."""
    known, found = list(known), []
    between = " Separate them with commas." if re.search(r"[\s;]", text.strip()) else ""
    for name in (part.strip() for part in text.split(",")):
        spelt = same_name(name, known)
        if spelt is None:
            raise typer.BadParameter(unknown_name(kind, name, known) + between)
        found.append(spelt)
    return found


def checked_share(validation: float | None) -> float | None:
    """Refuse a share of the images that is not below all of them."""
    if validation is not None and not 0 <= validation <= 0.9:
        raise typer.BadParameter(f"it must be a share from 0 to 0.9, received {validation}.")
    return validation
