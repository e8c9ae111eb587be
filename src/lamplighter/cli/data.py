"""The data that a command names."""

from __future__ import annotations

from typing import TYPE_CHECKING

import typer

if TYPE_CHECKING:
    from lamplighter.data.image_data import ImageData


def named_data(name: str) -> ImageData:
    """Return the data set that the user named.

    Raises:
        typer.BadParameter: there is none of that name.
    """
    if name != "mnist":
        raise typer.BadParameter(f"the data must be mnist, received {name!r}.")
    from lamplighter.data.image_data import ImageData

    return ImageData.mnist()
