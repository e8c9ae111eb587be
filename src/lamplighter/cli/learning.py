"""What `train` does once it has its data: learn, save, and say how good it became."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import typer

from lamplighter.cli.data import say
from lamplighter.cli.exporting import trust_text
from lamplighter.cli.settings import has_checkpoint
from lamplighter.cli.text import printable, quoted
from lamplighter.errors import LamplighterError, OutputError
from lamplighter.text import counted

if TYPE_CHECKING:
    from pathlib import Path

    from lamplighter.cli.photos import Lesson
    from lamplighter.cli.settings import Settings
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
        f"{settings.data}, {counted(settings.epochs, 'epoch')}{', continued' if resume else ''}; "
        "Ctrl-C keeps the last whole epoch"
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
            say(f"not calibrated, and nothing is called unknown: {error}")
    if "test" in images:
        try:
            return evaluate(classifier, images, "test")
        except LamplighterError as error:
            say(f"not tested: {error}")
    return None


def _kept(folder: Path) -> str:
    if has_checkpoint(folder):
        return f"the last whole epoch is kept in {folder}: continue with --resume."
    return "no epoch was complete, so that nothing is kept."


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
    tested = "not measured on a test split"
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
        say(f"{source} lists which images were learned from, and which were held out")


def show(lesson: Lesson, settings: Settings, path: Path) -> None:
    """Draw what augmentation does to the training images."""
    from lamplighter.evaluation.augmentation_sheet import augmentation_sheet
    from lamplighter.files.writing import written_whole
    from lamplighter.training.recipes import augmentation_of

    augmentation = augmentation_of(settings.recipe, settings.augment)
    with written_whole(path) as file:
        augmentation_sheet(lesson.images, augmentation, seed=settings.seed).save(file, format="png")
    say(f"{path} shows what is done to training images: {augmentation or 'nothing'}")
