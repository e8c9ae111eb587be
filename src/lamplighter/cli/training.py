"""Commands that train: train, models."""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import Annotated, Literal

import typer

from lamplighter.cli.data import named_data
from lamplighter.errors import OutputError


def train(
    data: Annotated[str, typer.Argument(help="What to learn from: mnist.")],
    model: Annotated[
        str | None, typer.Option(help="The network; see `lamplighter models`.")
    ] = None,
    recipe: Annotated[
        Literal["lab", "quick", "best"],
        typer.Option(help="lab: as a first course does it; quick: seconds; best: minutes."),
    ] = "quick",
    epochs: Annotated[int | None, typer.Option(min=1, help="How often each image is seen.")] = None,
    seed: Annotated[int, typer.Option(help="The same seed gives the same result.")] = 7,
    device: Annotated[
        str | None, typer.Option(help="Such as cpu or cuda:0; by default the fastest.")
    ] = None,
    validation: Annotated[
        float, typer.Option(min=0, max=0.9, help="Share of the training images set aside.")
    ] = 0.0,
    out: Annotated[Path, typer.Option(help="The bundle to write.")] = Path("digits.lamp"),
    resume: Annotated[
        bool, typer.Option("--resume", help="Continue a training that was stopped.")
    ] = False,
    force: Annotated[
        bool, typer.Option("--force", help="Replace what --out names, if it is there.")
    ] = False,
    silence: Annotated[
        list[str] | None, typer.Option(help="A check of the experiment not to make.")
    ] = None,
) -> None:
    """Train a classifier and write it to a bundle."""
    _check_model(model)
    folder = out.with_suffix(".training")
    _check_free(out, folder, resume=resume, force=force)
    images = named_data(data)
    if validation:
        images = images.hold_out(validation, seed=seed)
    from lamplighter.evaluation.intervals import Estimate
    from lamplighter.saving.bundle import save
    from lamplighter.saving.writing import check_target
    from lamplighter.training.recipes import train as learn

    check_target(out)
    start = time.perf_counter()
    try:
        classifier = learn(
            images,
            recipe=recipe,
            model=model,
            epochs=epochs,
            seed=seed,
            device=device,
            folder=folder,
            resume=resume,
            silence=silence or (),
        )
    except KeyboardInterrupt:
        _stopped(folder)
    seconds = time.perf_counter() - start
    save(classifier, out)
    (folder / "last.ckpt").unlink(missing_ok=True)
    score = Estimate(**classifier.record.scores["test"]["accuracy"])
    assert classifier.architecture is not None
    typer.echo(
        f"{classifier.architecture.name} trained on {len(images['train']):,} images "
        f"in {seconds:.1f} s\n"
        f"test accuracy {score} on {len(images['test']):,} images\n"
        f"wrote {out} ({out.stat().st_size / 1e6:.1f} MB); history in {folder}"
    )


def models(
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document.")] = False,
) -> None:
    """List the networks that come with Lamplighter."""
    from lamplighter.models.registry import models as networks

    if as_json:
        typer.echo(json.dumps(networks(), indent=2))
        return
    width = max(map(len, networks()))
    for name, summary in networks().items():
        typer.echo(f"{name:<{width}}  {summary}")


def _check_model(name: str | None) -> None:
    from lamplighter.models.registry import models as networks

    if name is not None and name not in networks():
        raise typer.BadParameter(
            f"there is no network {name!r}; there are {', '.join(networks())}.",
            param_hint="--model",
        )


def _check_free(out: Path, folder: Path, *, resume: bool, force: bool) -> None:
    if force:
        (folder / "last.ckpt").unlink(missing_ok=True) if not resume else None
        return
    if out.exists():
        raise OutputError(
            f"{out} is there already: choose another --out, or replace it with --force."
        )
    if (folder / "last.ckpt").exists() and not resume:
        raise OutputError(
            f"{folder} holds a training that was stopped: continue it with --resume, "
            "or begin anew with --force."
        )


def _stopped(folder: Path) -> None:
    kept = (folder / "last.ckpt").is_file()
    sys.stderr.write(
        "lamplighter: stopped; "
        + (
            f"the last whole epoch is kept in {folder}: continue with --resume.\n"
            if kept
            else "no epoch was complete, so that nothing is kept.\n"
        )
    )
    raise typer.Exit(1)
