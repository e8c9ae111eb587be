"""Checks of what options were given, before anything is done."""

from __future__ import annotations

import typer

from lamplighter.errors import UnknownModelError


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
    """Refuse a network that cannot be trained from nothing."""
    from lamplighter.models.registry import find

    try:
        if name is not None:
            find(name, listed=True)
    except UnknownModelError as error:
        raise typer.BadParameter(str(error)) from error
    return name


def checked_share(validation: float | None) -> float | None:
    """Refuse a share of the images that is not below all of them."""
    if validation is not None and not 0 <= validation <= 0.9:
        raise typer.BadParameter(f"it must be a share from 0 to 0.9, received {validation}.")
    return validation
