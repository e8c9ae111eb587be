"""Commands that train: train, models."""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from lamplighter.cli.data import named_data
from lamplighter.cli.outputs import check_new
from lamplighter.cli.settings import (
    Settings,
    begin,
    check_unused,
    forget_checkpoint,
    has_checkpoint,
    resumed,
)
from lamplighter.cli.text import printable, wrapped
from lamplighter.errors import OutputError, UnknownModelError

if TYPE_CHECKING:
    from lamplighter.data.image_data import ImageData
    from lamplighter.models.classifier import Classifier

_RECIPE = "quick"
_SEED = 7


def _at_least_one(epochs: int | None) -> int | None:
    if epochs is not None and epochs < 1:
        raise typer.BadParameter(f"it must be at least 1, received {epochs}.")
    return epochs


def _seed(seed: int | None) -> int | None:
    if seed is not None and not 0 <= seed < 2**32:
        raise typer.BadParameter(f"it must be in 0..{2**32 - 1}, received {seed}.")
    return seed


def _network(name: str | None) -> str | None:
    from lamplighter.models.registry import find

    try:
        if name is not None:
            find(name)
    except UnknownModelError as error:
        raise typer.BadParameter(str(error)) from error
    return name


def _share(validation: float | None) -> float | None:
    if validation is not None and not 0 <= validation <= 0.9:
        raise typer.BadParameter(f"it must be a share from 0 to 0.9, received {validation}.")
    return validation


def train(
    data: Annotated[str, typer.Argument(metavar="DATA", help="What to learn from: mnist.")],
    model: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            callback=_network,
            help="The network, one of `lamplighter models`; by default the recipe's.",
        ),
    ] = None,
    recipe: Annotated[
        Literal["lab", "quick", "best"] | None,
        typer.Option(
            metavar="NAME",
            help="lab: as a first course does it; quick: in seconds, the default; "
            "best: in minutes.",
        ),
    ] = None,
    epochs: Annotated[
        int | None,
        typer.Option(
            metavar="N",
            callback=_at_least_one,
            help="How often each image is seen; by default as the recipe says.",
        ),
    ] = None,
    seed: Annotated[
        int | None,
        typer.Option(
            metavar="N",
            callback=_seed,
            help=f"The same seed gives the same result; by default {_SEED}.",
        ),
    ] = None,
    device: Annotated[
        str | None, typer.Option(metavar="NAME", help="cpu, cuda, ...; by default the fastest.")
    ] = None,
    validation: Annotated[
        float | None,
        typer.Option(
            metavar="SHARE",
            callback=_share,
            help="Share of the training images to measure on after each epoch instead of "
            "learning from them; by default none.",
        ),
    ] = None,
    out: Annotated[Path, typer.Option(metavar="FILE", help="The bundle to write.")] = Path(
        "digits.lamp"
    ),
    resume: Annotated[
        bool,
        typer.Option("--resume", metavar="", help="Continue a training that was stopped."),
    ] = False,
    force: Annotated[
        bool,
        typer.Option("--force", metavar="", help="Replace the bundle, or begin anew."),
    ] = False,
    silence: Annotated[
        list[str] | None,
        typer.Option(metavar="CHECK", help="A check for mistakes to leave out; may be repeated."),
    ] = None,
) -> None:
    """Train a classifier and write it to a bundle.

    Its history and a checkpoint of each epoch are kept in a folder beside it, NAME.training.

    Ctrl-C stops; --resume continues after the last whole epoch.
    """
    asked = _given(
        data=data, recipe=recipe, model=model, epochs=epochs, seed=seed, validation=validation
    )
    from lamplighter.saving.tracing import needs_training_packages

    images = named_data(data)
    check_new(out, "--out", force=force)
    folder = out.with_suffix(".training")
    if folder == out:
        raise OutputError(f"--out must not end in .training, received {out}; write NAME.lamp.")
    if not force and not resume:
        check_unused(folder)
    with needs_training_packages("training"):
        settings = resumed(folder, asked) if resume else _settings(asked)
        _check_options(device, silence or [])
    if not resume:
        begin(folder, settings)
    if settings.validation:
        images = images.hold_out(settings.validation, seed=settings.seed)
    start = time.perf_counter()
    classifier = _learn_and_save(
        images, settings, out, device=device, resume=resume, silence=silence or ()
    )
    seconds = time.perf_counter() - start
    forget_checkpoint(folder)
    _summarise(classifier, images, out, seconds)


def _given(**options: Any) -> dict[str, Any]:
    """Return the options that the user gave."""
    return {name: value for name, value in options.items() if value is not None}


def _settings(asked: dict[str, Any]) -> Settings:
    """Return what is asked for; what is not, as the recipe says."""
    from lamplighter.training.recipes import RECIPES

    name = asked.get("recipe", _RECIPE)
    recipe = RECIPES[name]
    defaults = {"model": recipe.model, "epochs": recipe.epochs, "seed": _SEED, "validation": 0.0}
    return Settings(**{"recipe": name, **defaults, **asked})


def _check_options(device: str | None, silence: list[str]) -> None:
    """Refuse them before anything is written."""
    from lamplighter.training.devices import check_device
    from lamplighter.training.lint import Lint

    Lint(silence)
    if device is not None:
        check_device(device)


def _learn_and_save(
    images: ImageData, settings: Settings, out: Path, *, resume: bool, **options: Any
) -> Classifier:
    from lamplighter.saving.bundle import save
    from lamplighter.training.recipes import train as learn

    folder = out.with_suffix(".training")
    _say(
        f"training {settings.model} on {len(images['train']):,} images of {settings.data}, "
        f"{settings.epochs} epochs{', continued' if resume else ''}; "
        "Ctrl-C keeps the last whole epoch"
    )
    try:
        classifier = learn(
            images,
            recipe=settings.recipe,
            model=settings.model,
            epochs=settings.epochs,
            seed=settings.seed,
            folder=folder,
            resume=resume,
            verbose=2 if sys.stderr.isatty() else 1,
            **options,
        )
        save(classifier, out)
    except (KeyboardInterrupt, SystemExit):  # Lightning makes a SystemExit of SIGTERM
        _say(f"lamplighter: stopped; {_kept(folder)}")
        raise typer.Exit(1) from None
    except OSError as error:
        raise OutputError(
            f"{error.filename or folder} cannot be written: {error.strerror or error}; "
            f"free some space; {_kept(folder)}"
        ) from error
    return classifier


def _kept(folder: Path) -> str:
    if has_checkpoint(folder):
        return f"the last whole epoch is kept in {folder}: continue with --resume."
    return "no epoch was complete, so that nothing is kept."


def _summarise(classifier: Classifier, images: ImageData, out: Path, seconds: float) -> None:
    from lamplighter.evaluation.intervals import Estimate

    score = Estimate(**classifier.record.scores["test"]["accuracy"])
    assert classifier.architecture is not None
    typer.echo(
        f"{classifier.architecture.name} trained on {len(images['train']):,} images "
        f"in {seconds:.1f} s\n"
        f"test accuracy {score} on {len(images['test']):,} images\n"
        + printable(
            f"wrote {out} ({out.stat().st_size / 1e6:.1f} MB); "
            f"history in {out.with_suffix('.training')}"
        )
    )
    _say(f"next: lamplighter evaluate {out} mnist, or lamplighter predict {out} IMAGE")


def _say(line: str) -> None:
    sys.stderr.write(printable(line) + "\n")
    sys.stderr.flush()


def models(
    as_json: Annotated[
        bool, typer.Option("--json", metavar="", help="Print one JSON document.")
    ] = False,
) -> None:
    """List the networks that come with Lamplighter."""
    from lamplighter.models.registry import list_models

    if as_json:
        typer.echo(json.dumps(list_models(), indent=2))
        return
    width = max(map(len, list_models()))
    for name, summary in list_models().items():
        typer.echo(wrapped(f"{name:<{width}}  {summary}", width + 2))
