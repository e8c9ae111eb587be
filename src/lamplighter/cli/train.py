"""`lamplighter train`: train a network and write it to a bundle."""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from lamplighter.cli import options, train_images
from lamplighter.cli.data_arguments import is_named, say
from lamplighter.cli.info import trust_text
from lamplighter.cli.options import at_least_one, checked_seed, checked_share, known_network
from lamplighter.cli.outputs import check_new, check_new_bundle, save_picture
from lamplighter.cli.terminal import printable, quoted
from lamplighter.cli.train_settings import (
    Settings,
    begin,
    check_unused,
    forget_checkpoint,
    has_checkpoint,
    resumed,
)
from lamplighter.errors import LamplighterError, OutputError, TrainingError
from lamplighter.text import counted

if TYPE_CHECKING:
    from lamplighter.cli.train_images import Lesson
    from lamplighter.datasets.image_data import ImageData
    from lamplighter.evaluation.report import Report
    from lamplighter.models.classifier import Classifier


def learn_and_save(
    images: ImageData, settings: Settings, out: Path, *, resume: bool, **options: Any
) -> tuple[Classifier, Report | None]:
    """Train as `settings` say, write the classifier to `out`, and return it with its test.

    Where there are validation images of photos, the bundle carries its calibration and its
    "unknown"; the digits of MNIST are no measure for drawings of one's own. The test split is
    answered once, with them. Whatever of this fails is said, and the bundle written without it.

    Raises:
        OutputError: the disk is full, or something cannot be written.
    """
    from lamplighter.saving.bundle import save
    from lamplighter.training.recipes import train as learn

    folder = out.with_suffix(".training")
    say(
        f"training {settings.model} on {counted(len(images['train']), 'image')} of "
        f"{settings.data}, {counted(settings.epochs, 'epoch')}{', resumed' if resume else ''}; "
        "Ctrl-C keeps the last complete epoch"
    )
    try:
        classifier = learn(
            images,
            recipe=settings.recipe,
            model=settings.model,
            epochs=settings.epochs,
            seed=settings.seed,
            augment=settings.augment,
            balance=settings.balance,
            folder=folder,
            resume=resume,
            test=False,
            verbose=2 if sys.stderr.isatty() else 1,
            **options,
        )
        report = _measured(classifier, images, settings)
        save(classifier, out)
    except OutputError as error:
        raise OutputError(f"{str(error).rstrip('.')}; {_kept(folder)}") from error
    except (KeyboardInterrupt, SystemExit):  # Lightning makes a SystemExit of SIGTERM
        say(f"lamplighter: stopped; {_kept(folder)}")
        raise typer.Exit(1) from None
    except LamplighterError:
        raise
    except OSError as error:
        raise OutputError(
            f"{error.filename or folder} cannot be written: {error.strerror or error}; "
            f"free some space; {_kept(folder)}"
        ) from error
    return classifier, report


def _measured(classifier: Classifier, images: ImageData, settings: Settings) -> Report | None:
    """Calibrate a classifier that was just trained, and return its test, as far as both can be."""
    from lamplighter.evaluation.reliability import add_trust
    from lamplighter.evaluation.report import evaluate

    if settings.data != "mnist" and "val" in images:
        try:
            add_trust(classifier, images, seed=settings.seed)
        except LamplighterError as error:
            say(f"not calibrated, and no image will be called unknown: {error}")
    if "test" in images:
        try:
            return evaluate(classifier, images, "test")
        except LamplighterError as error:
            say(f"not tested: {error}")
    return None


def _kept(folder: Path) -> str:
    if has_checkpoint(folder):
        return f"the last complete epoch is kept in {folder}: continue with --resume."
    return "no epoch was complete, so nothing is kept."


def summarise(
    classifier: Classifier,
    report: Report | None,
    out: Path,
    *,
    images: int,
    seconds: float,
    classes: bool,
) -> None:
    """Print what was trained on so many images and how good it is, with `classes` at each class."""
    assert classifier.architecture is not None
    tested = "not evaluated on a test split"
    if report is not None:
        tested = f"test accuracy {report.accuracy} on {counted(report.count, 'image')}"
    lines = [
        f"{classifier.architecture.name} trained on {counted(images, 'image')} in {seconds:.1f} s",
        tested,
    ]
    if classifier.trust is not None:
        lines.append(trust_text(classifier.trust))
    wrote = f"wrote {out} ({out.stat().st_size / 1e6:.1f} MB)"
    lines.append(printable(f"{wrote}; history in {out.with_suffix('.training')}"))
    typer.echo("\n".join(lines))
    if classes and report is not None:
        lines = [*str(report).split("\n")[1:], "", *report.table().split("\n")]
        typer.echo("\n" + "\n".join(printable(line) for line in lines))


def say_next(lesson: Lesson, settings: Settings, out: Path) -> None:
    """Say on stderr what can be done with the bundle."""
    source = lesson.source(settings.data, out.with_suffix(".training"))
    held_out = " --split test" if lesson.made else ""
    bundle = quoted(out)
    say(
        f"next: lamplighter evaluate {bundle} {quoted(source)}{held_out}, or lamplighter predict "
        f"{bundle} IMAGE"
    )
    if lesson.made:
        say(f"{source} lists which images were used for training, and which were held out")


def show(lesson: Lesson, settings: Settings, path: Path) -> None:
    """Draw what augmentation does to the training images."""
    from lamplighter.evaluation.augmentation_sheet import augmentation_sheet
    from lamplighter.training.recipes import augmentation_of

    augmentation = augmentation_of(settings.recipe, settings.augment)
    save_picture(augmentation_sheet(lesson.images, augmentation, seed=settings.seed), path)
    say(f"{path} shows the augmentation of the training images: {augmentation or 'none'}")


_SEED = 7


def train(
    data: Annotated[
        str,
        typer.Argument(
            metavar="DATA",
            help="The training data: mnist, emoji, a folder with one folder of "
            "photos per class (with or without train, val and test above them), "
            "a .zip of it, or a CSV file with the columns path, label and, "
            "optionally, split and group.",
        ),
    ],
    model: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            callback=known_network,
            help="The network, one of `lamplighter models`. Default: that of the recipe.",
        ),
    ] = None,
    recipe: Annotated[
        Literal["lab", "quick", "best", "photos"] | None,
        typer.Option(
            metavar="NAME",
            help="The training recipe. lab: as in the first lab; quick: takes "
            "seconds, default for mnist; best: the highest accuracy, takes "
            "minutes; photos: default for all other data.",
        ),
    ] = None,
    epochs: Annotated[
        int | None,
        typer.Option(
            metavar="N",
            callback=at_least_one,
            help="Number of epochs: passes over the training images. Default: that of the recipe.",
        ),
    ] = None,
    seed: Annotated[
        int | None,
        typer.Option(
            metavar="N",
            callback=checked_seed,
            help=f"Random seed: the same seed gives the same result. Default: {_SEED}.",
        ),
    ] = None,
    device: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="cpu, cuda or another. Default: the fastest."),
    ] = None,
    validation: Annotated[
        float | None,
        typer.Option(
            metavar="FRACTION",
            callback=checked_share,
            help="Fraction of the training images held out for validation, if the "
            f"data has no val. Default: {train_images.VALIDATION:g} for photos, "
            "0 for mnist and emoji.",
        ),
    ] = None,
    size: Annotated[
        str | None,
        typer.Option(
            metavar="N|HxW",
            callback=train_images.parsed_size,
            help=f"The size in pixels to which photos are resized. Default: {train_images.SIZE}.",
        ),
    ] = None,
    fit: Annotated[
        Literal["squash", "crop", "letterbox", "full"] | None,
        typer.Option(
            metavar="FIT",
            help="How photos of another shape are resized. squash (default): "
            "stretched; crop: the middle only; letterbox: the whole photo, with "
            "bars; full: not resized, in the size that most photos have.",
        ),
    ] = None,
    group: Annotated[
        str | None,
        typer.Option(
            metavar="REGEX",
            help="Regular expression; files whose names give the same match stay in "
            "one split, such as '^[^_]*' for the part of the name before the "
            "first _.",
        ),
    ] = None,
    augment: Annotated[
        bool | None,
        typer.Option(
            "--augment/--no-augment",
            help="Random augmentation of the training images. Default: that of the recipe.",
        ),
    ] = None,
    balance: Annotated[
        Literal["none", "weights", "sampler"] | None,
        typer.Option(
            metavar="METHOD",
            help="How to treat classes with few images. weights: weighted more in "
            "the loss; sampler: all classes are drawn equally often; none "
            "(default): not treated.",
        ),
    ] = None,
    audit: Annotated[
        bool,
        typer.Option(
            "--audit/--no-audit",
            help="Audit photos for bad files, copies and leakage before training.",
        ),
    ] = True,
    show_augmentation: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", help="Draw examples of augmented training images to this PNG file."
        ),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="The bundle to write. Default: digits.lamp for mnist, else named after the data.",
        ),
    ] = None,
    resume: Annotated[
        bool,
        typer.Option("--resume", metavar="", help="Continue an interrupted training."),
    ] = False,
    force: Annotated[
        bool,
        options.force(
            "Overwrite the bundle if it exists, and start again if a training was interrupted."
        ),
    ] = False,
    silence: Annotated[
        list[str] | None,
        typer.Option(metavar="CHECK", help="Turn off this check for mistakes; can be repeated."),
    ] = None,
) -> None:
    """Train a classifier and save it as a bundle.

    The history and a checkpoint of each epoch are written to the folder NAME.training beside it.

    With photos, the probabilities are calibrated on the validation images, and `predict` will
    answer "unknown" for an image that is unlike all training images.

    Ctrl-C stops; --resume continues after the last complete epoch.
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
    lesson = train_images.read(settings, folder, resume=resume, audit=audit)
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
    validation = 0.0 if is_named(asked["data"]) else train_images.VALIDATION
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
