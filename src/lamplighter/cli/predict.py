"""`lamplighter predict`: classify images."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from lamplighter.cli import options
from lamplighter.cli.classifier_arguments import named_classifier
from lamplighter.cli.image_arguments import GivenImage, given_images
from lamplighter.cli.options import AsJson, Bundle
from lamplighter.cli.outputs import check_new, save_picture
from lamplighter.cli.predict_output import Document, Lines, Output, Table
from lamplighter.cli.terminal import bar
from lamplighter.errors import ImageError, OutputError
from lamplighter.inference.documents import Tally

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from lamplighter.datasets.files import Progress
    from lamplighter.inference.predictor import Prediction
    from lamplighter.models.classifier import Classifier

_BATCH = 64
_ENLARGED = 280
_LONGEST = 200  # bytes of a picture's name; most systems allow 255


def _at_least_one(top: int) -> int:
    if top < 1:
        raise typer.BadParameter(f"it must be at least 1, received {top}.")
    return top


def predict(
    bundle: Bundle,
    images: Annotated[
        list[str],
        typer.Argument(
            metavar="IMAGE...",
            help="Image files, folders, .zip files, quoted patterns such as "
            "'photos/*.jpg', or - for standard input (paths, or one image).",
        ),
    ],
    recursive: Annotated[
        bool,
        typer.Option("--recursive", "-r", metavar="", help="Search subfolders too."),
    ] = False,
    null: Annotated[
        bool,
        typer.Option(
            "--null",
            "-0",
            metavar="",
            help="Paths on standard input end with a null character, as from find -print0.",
        ),
    ] = False,
    top: Annotated[
        int,
        typer.Option(
            metavar="K", callback=_at_least_one, help="Number of classes to show for each image."
        ),
    ] = 3,
    as_json: AsJson = False,
    as_csv: Annotated[
        bool, typer.Option("--csv", metavar="", help="Print a table as CSV.")
    ] = False,
    show_input: Annotated[
        Path | None,
        typer.Option(
            metavar="FOLDER",
            help="Write each image as the network sees it, after preprocessing, to this folder.",
        ),
    ] = None,
    as_is: Annotated[
        bool,
        typer.Option(
            "--as-is", metavar="", help="Use the whole image, without searching for a digit in it."
        ),
    ] = False,
    always_answer: Annotated[
        bool,
        typer.Option(
            "--always-answer",
            metavar="",
            help="Always answer with a class, also for images that would be unknown.",
        ),
    ] = False,
    force: Annotated[bool, options.force("Overwrite files in the folder of --show-input.")] = False,
) -> None:
    """Classify images; the answers come in the same order as the images.

    An image that is unlike the training images is called unknown, if the bundle has a threshold
    for it (see `lamplighter info`).

    A file that cannot be used is reported, the others are classified, and the exit code is 1. For
    several images a summary follows on stderr.
    """
    if as_json and as_csv:
        raise typer.BadParameter("choose one of --json and --csv.")
    classifier = named_classifier(bundle)
    if as_is:
        classifier.preprocessing = dataclasses.replace(classifier.preprocessing, find_digit=False)
    given = given_images(images, recursive=recursive, null=null)
    pictures = _pictures(given, show_input, force=force)
    output: Output = Lines(one.name for one in given)
    if as_json:
        output = Document()
    elif as_csv:
        output = Table(min(top, classifier.num_classes))
    tally, answered = Tally(), []
    with _bar(lines=not (as_json or as_csv)) as progress:
        for number, answer in enumerate(_answers(classifier, given, top, always_answer, progress)):
            tally.add(answer)
            output.add(given[number].name, answer)
            if answer.error is None:
                answered.append(number)
    output.end(tally)
    if pictures:  # after the answers, which a full disk must not cost
        for number in answered:
            _show(classifier, given[number], pictures[number])
    if tally.errors:
        raise typer.Exit(1)


@contextlib.contextmanager
def _bar(*, lines: bool) -> Iterator[Progress | None]:
    """Give what draws a bar; nothing where lines of answers appear on the same terminal."""
    if lines and sys.stdout.isatty():
        yield None
        return
    with bar("predicting") as progress:
        yield progress


def _answers(
    classifier: Classifier,
    given: Sequence[GivenImage],
    top: int,
    always_answer: bool,
    progress: Progress | None,
) -> Iterator[Prediction]:
    """Yield the result of each image, a batch at a time, so that the first come early."""
    from lamplighter.inference.predictor import Prediction
    from lamplighter.inference.predictor import predict as ask

    for start in range(0, len(given), _BATCH):
        batch = given[start : start + _BATCH]
        there = [one.image for one in batch if not isinstance(one.image, ImageError)]
        results = iter(ask(classifier, there, always_answer=always_answer).results(top))
        for one in batch:
            if isinstance(one.image, ImageError):
                yield Prediction(source=one.name, error=one.image)
                continue
            answer = next(results)
            if answer.error is not None:
                answer = Prediction(source=one.name, error=one.explained(answer.error))
            yield answer
        if progress is not None:
            progress(start + len(batch), len(given))


def _pictures(given: Sequence[GivenImage], folder: Path | None, *, force: bool) -> list[Path]:
    """Return the file for what is seen of each image; none of them is there yet.

    Numbers tell apart images of one name from several folders.
    """
    if folder is None:
        return []
    names = [f"{number:03d}-{_cut(Path(one.name).stem)}.png" for number, one in enumerate(given, 1)]
    pictures = [folder / name for name in names]
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(
            "--show-input must be a folder that can be written to, received "
            f"{folder} ({error.strerror}); choose another."
        ) from error
    for picture in pictures:
        check_new(picture, "--show-input", force=force)
    return pictures


def _cut(stem: str) -> str:
    """Return as much of `stem` as leaves room for a number and a suffix."""
    while len(os.fsencode(stem)) > _LONGEST:
        stem = stem[:-1]
    return stem


def _show(classifier: Classifier, given: GivenImage, picture: Path) -> None:
    """Write what the network sees, small inputs enlarged without smoothing."""
    assert not isinstance(given.image, ImageError)  # it was answered
    seen = classifier.preprocessing.seen(classifier.preprocessing.open(given.image))
    factor = max(1, _ENLARGED // max(seen.size))
    save_picture(seen.resize((seen.width * factor, seen.height * factor), 0), picture)
