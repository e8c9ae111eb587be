"""`lamplighter models`: the networks that come with Lamplighter."""

from __future__ import annotations

import json

import typer

from lamplighter.cli.options import AsJson
from lamplighter.cli.terminal import wrapped


def models(
    as_json: AsJson = False,
) -> None:
    """List the networks that come with Lamplighter."""
    from lamplighter.models.registry import list_models

    if as_json:
        typer.echo(json.dumps(list_models(), indent=2))
        return
    width = max(map(len, list_models()))
    for name, summary in list_models().items():
        typer.echo(wrapped(f"{name:<{width}}  {summary}", width + 2))
