"""Commands that train: train, models."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from lamplighter.cli import photos
from lamplighter.cli.checks import at_least_one, checked_seed, checked_share, known_network
from lamplighter.cli.data import is_named
from lamplighter.cli.learning import learn_and_save, say_next, show, summarise
from lamplighter.cli.outputs import check_new, check_new_bundle
from lamplighter.cli.settings import (
    Settings,
    begin,
    check_unused,
    forget_checkpoint,
    resumed,
)
from lamplighter.cli.text import wrapped
from lamplighter.errors import OutputError, TrainingError

if TYPE_CHECKING:
    from lamplighter.datasets.image_data import ImageData

_SEED = 7


def train(
    data: Annotated[
        str,
        typer.Argument(
            metavar="DATA",
            help="What to learn from: mnist, emoji, a folder with a folder of photos for each "
            "class, with or without train, val and test above them, a zip file of it, or a CSV "
            "file with the columns path, label and, if wanted, split and group.",
        ),
    ],
    model: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            callback=known_network,
            help="The network, as `lamplighter models` lists it; by default the recipe's.",
        ),
    ] = None,
    recipe: Annotated[
        Literal["lab", "quick", "best", "photos"] | None,
        typer.Option(
            metavar="NAME",
            help="How to train. lab: as in the first lab; quick: in "
            "seconds, the default for mnist; "
            "best: the highest score, in minutes; photos: the default for all other data.",
        ),
    ] = None,
    epochs: Annotated[
        int | None,
        typer.Option(
            metavar="N",
            callback=at_least_one,
            help="How often each image is seen; by default as the recipe says.",
        ),
    ] = None,
    seed: Annotated[
        int | None,
        typer.Option(
            metavar="N",
            callback=checked_seed,
            help=f"The same seed gives the same result; by default {_SEED}.",
        ),
    ] = None,
    device: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="cpu, cuda or another; by default the fastest."),
    ] = None,
    validation: Annotated[
        float | None,
        typer.Option(
            metavar="SHARE",
            callback=checked_share,
            help="Share of the training images that is kept for validation, where the data has "
            f"no val; by default {photos.VALIDATION:g} of photos, none of mnist and emoji.",
        ),
    ] = None,
    size: Annotated[
        str | None,
        typer.Option(
            metavar="N|HxW",
            callback=photos.parsed_size,
            help=f"The size in pixels that photos are scaled to; by default {photos.SIZE}.",
        ),
    ] = None,
    fit: Annotated[
        Literal["squash", "crop", "letterbox", "full"] | None,
        typer.Option(
            metavar="FIT",
            help="How photos of another shape are made to fit. squash, the default: stretched; "
            "crop: the middle; letterbox: the whole, with bars; full: not scaled, in the size that "
            "most photos have.",
        ),
    ] = None,
    group: Annotated[
        str | None,
        typer.Option(
            metavar="REGEX",
            help="A regular expression. Files whose names have the same match stay in one split, "
            "such as '^[^_]*' for all files that begin alike up to the first _.",
        ),
    ] = None,
    augment: Annotated[
        bool | None,
        typer.Option(
            "--augment/--no-augment",
            help="Change the training images at random; by default as the recipe says.",
        ),
    ] = None,
    balance: Annotated[
        Literal["none", "weights", "sampler"] | None,
        typer.Option(
            metavar="WAY",
            help="What to do about classes with few images. weights: they count for more in the "
            "loss; sampler: all classes are drawn equally often; none: nothing, the default.",
        ),
    ] = None,
    audit: Annotated[
        bool,
        typer.Option(
            "--audit/--no-audit",
            help="Look for bad files, copies and leakage before learning from photos.",
        ),
    ] = True,
    show_augmentation: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", help="Draw some images after random changes to this PNG file."
        ),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="The bundle to write; by default digits.lamp for mnist, else named as the data.",
        ),
    ] = None,
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
        typer.Option(metavar="CHECK", help="Do not make this check for mistakes; may be repeated."),
    ] = None,
) -> None:
    """Train a classifier and write it to a bundle.

    Its history and a checkpoint of each epoch are kept in a folder beside it, NAME.training.

    With photos, the probabilities are calibrated on the validation images, and an image that is
    unlike all training images is later answered with "unknown".

    Ctrl-C stops; --resume continues after the last whole epoch.
    """
    asked = _given(
        data=data,
        recipe=recipe,
        model=model,
        epochs=epochs,
        seed=seed,
        validation=validation,
        size=size,
        fit=fit,
        group=group,
        augment=augment,
        balance=balance,
    )
    from lamplighter.saving.tracing import needs_training_packages

    is_named(data)
    out = out or _bundle(data)
    folder = _folder(out, show_augmentation, force=force)
    if not force and not resume:
        check_unused(folder)
    with needs_training_packages("training"):
        settings = resumed(folder, asked) if resume else _settings(asked)
        _check_options(device, silence or [])
    lesson = photos.read(settings, folder, resume=resume, audit=audit)
    _check_network(settings.model, lesson.images)
    if show_augmentation is not None:
        show(lesson, settings, show_augmentation)
    if not resume:
        begin(folder, settings)
        lesson.write_splits(folder)
    start = time.perf_counter()
    classifier, report = learn_and_save(
        lesson.images, settings, out, device=device, resume=resume, silence=silence or ()
    )
    seconds = time.perf_counter() - start
    forget_checkpoint(folder)
    images = len(lesson.images["train"])
    summarise(classifier, report, out, images=images, seconds=seconds, classes=data != "mnist")
    say_next(lesson, settings, out)


def _bundle(data: str) -> Path:
    """Return where the bundle goes unless the user says so."""
    name = "digits" if data == "mnist" else Path(data).resolve().stem
    return Path(f"{name or 'photos'}.lamp")


def _folder(out: Path, picture: Path | None, *, force: bool) -> Path:
    """Return the folder beside the bundle; refuse files that may not be written."""
    check_new_bundle(out, "--out", force=force)
    folder = out.with_suffix(".training")
    if folder == out:
        raise OutputError(f"--out must not end in .training, received {out}; write NAME.lamp.")
    if picture is not None:
        check_new(picture, "--show-augmentation", force=force)
        if picture.resolve() == out.resolve():
            raise OutputError(
                f"--out and --show-augmentation must be two files, received {out} for both."
            )
    return folder


def _given(**options: Any) -> dict[str, Any]:
    """Return the options that the user gave."""
    return {name: value for name, value in options.items() if value is not None}


def _settings(asked: dict[str, Any]) -> Settings:
    """Return what is asked for; what is not, as the recipe says."""
    from lamplighter.training.recipes import RECIPES

    name = asked.get("recipe", "quick" if asked["data"] == "mnist" else "photos")
    recipe = RECIPES[name]
    validation = 0.0 if is_named(asked["data"]) else photos.VALIDATION
    defaults = {"model": recipe.model, "epochs": recipe.epochs, "seed": _SEED}
    defaults["validation"] = validation
    return Settings(**{"recipe": name, **defaults, **asked})


def _check_options(device: str | None, silence: list[str]) -> None:
    """Refuse them before anything is written."""
    from lamplighter.training.devices import check_device
    from lamplighter.training.lint import Lint

    try:
        Lint(silence)
    except TrainingError as error:
        raise typer.BadParameter(str(error)) from error
    if device is not None:
        check_device(device)


def _check_network(model: str, images: ImageData) -> None:
    """Refuse images that are too small for the network."""
    from lamplighter.models.classifier import Architecture, build_network

    build_network(Architecture(model), images.preprocessing, len(images.trained_class_names))


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
