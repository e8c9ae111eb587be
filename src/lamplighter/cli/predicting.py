"""The command that answers: predict."""

from __future__ import annotations

import csv
import dataclasses
import io
import json
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from lamplighter.cli.classifiers import named_classifier
from lamplighter.cli.outputs import check_new
from lamplighter.cli.text import printable
from lamplighter.errors import ImageError, OutputError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lamplighter.models.classifier import Classifier

_BATCH = 32
_ENLARGED = 280
_LONGEST = 200  # bytes of a picture's name; most systems allow 255


def _at_least_one(top: int) -> int:
    if top < 1:
        raise typer.BadParameter(f"it must be at least 1, received {top}.")
    return top


def predict(
    bundle: Annotated[
        Path,
        typer.Argument(
            metavar="BUNDLE",
            help="The classifier, NAME.lamp; or a pretrained network, such as efficientnet-lite0.",
        ),
    ],
    images: Annotated[list[Path], typer.Argument(metavar="IMAGE...", help="Image files.")],
    top: Annotated[
        int,
        typer.Option(
            metavar="K", callback=_at_least_one, help="How many classes to name for each."
        ),
    ] = 3,
    as_json: Annotated[
        bool, typer.Option("--json", metavar="", help="Print one JSON document.")
    ] = False,
    as_csv: Annotated[
        bool, typer.Option("--csv", metavar="", help="Print a table of comma-separated values.")
    ] = False,
    show_input: Annotated[
        Path | None,
        typer.Option(
            metavar="FOLDER", help="Write what the network sees of each image to this folder."
        ),
    ] = None,
    as_is: Annotated[
        bool,
        typer.Option("--as-is", metavar="", help="Do not look for a digit: take the whole image."),
    ] = False,
    always_answer: Annotated[
        bool,
        typer.Option(
            "--always-answer", metavar="", help="Name a class for images of unknown things too."
        ),
    ] = False,
    force: Annotated[
        bool, typer.Option("--force", metavar="", help="Replace files in the folder.")
    ] = False,
) -> None:
    """Say what is in each image.

    An image unlike those that the classifier learned from is called unknown, if it was saved with
    what it takes to tell.

    A file that cannot be used is reported and the others are answered; the exit code is then 1.
    """
    if as_json and as_csv:
        raise typer.BadParameter("choose one of --json and --csv.")
    classifier = named_classifier(bundle)
    if as_is:
        classifier.preprocessing = dataclasses.replace(classifier.preprocessing, find_digit=False)
    pictures = _pictures(images, show_input, force=force)
    answers, failures = _answers(classifier, images, top, always_answer)
    if as_json:
        document = {"predictions": list(answers.values()), "errors": failures}
        typer.echo(json.dumps(document, indent=2))
    elif as_csv:
        typer.echo(_table(list(answers.values())), nl=False)
    else:
        _print(list(answers.values()))
    for failure in failures:
        sys.stderr.write(f"lamplighter: {printable(failure['error'])}\n")
    if pictures:  # after the answers, which a full disk must not cost
        for number, answer in answers.items():
            _show(classifier, Path(answer["path"]), pictures[number])
    if failures:
        raise typer.Exit(1)


def _answers(
    classifier: Classifier, images: list[Path], top: int, always_answer: bool
) -> tuple[dict[int, dict[str, Any]], list[dict[str, str]]]:
    """Return an answer for each image that can be used, by its place, and an error for others."""
    answers: dict[int, dict[str, Any]] = {}
    failures: list[dict[str, str]] = []
    for start in range(0, len(images), _BATCH):
        batch = images[start : start + _BATCH]
        outcomes = _outcomes(classifier, batch, top, always_answer)
        for number, outcome in enumerate(outcomes, start):
            path = str(images[number])
            if isinstance(outcome, ImageError):
                failures.append({"path": path, "error": str(outcome)})
                continue
            answers[number] = {"path": path, **outcome}
    return answers, failures


def _outcomes(
    classifier: Classifier, batch: list[Path], top: int, always_answer: bool
) -> Iterator[dict[str, Any] | ImageError]:
    """Yield for each image the answer and the guesses, or why there are none."""
    from lamplighter.inference.predictor import predict as ask

    try:
        predictions = ask(classifier, batch, always_answer=always_answer)
        labels, known, distances = predictions.labels, predictions.known, predictions.distances
        for number, guesses in enumerate(predictions.top(top)):
            yield {
                "label": labels[number],
                "known": bool(known[number]),
                "distance": None if distances is None else round(float(distances[number]), 6),
                "top": [{"label": name, "probability": round(p, 6)} for name, p in guesses],
            }
        return
    except ImageError as error:
        if len(batch) == 1:
            yield error
            return
    for path in batch:  # one at a time, to learn which it is
        yield from _outcomes(classifier, [path], top, always_answer)


def _pictures(images: list[Path], folder: Path | None, *, force: bool) -> list[Path]:
    """Return the file for what is seen of each image; none of them is there yet.

    Numbers tell apart images of one name from several folders.
    """
    if folder is None:
        return []
    names = [f"{number:03d}-{_cut(path.stem)}.png" for number, path in enumerate(images, start=1)]
    pictures = [folder / name for name in names]
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(
            f"{folder} cannot be used as a folder: {error.strerror}; choose another --show-input."
        ) from error
    for picture in pictures:
        check_new(picture, "--show-input", force=force)
    return pictures


def _cut(stem: str) -> str:
    """Return as much of `stem` as leaves room for a number and a suffix."""
    while len(os.fsencode(stem)) > _LONGEST:
        stem = stem[:-1]
    return stem


def _show(classifier: Classifier, image: Path, picture: Path) -> None:
    """Write what the network sees, small inputs enlarged without smoothing."""
    from lamplighter.saving.writing import written_whole

    seen = classifier.preprocessing.seen(classifier.preprocessing.open(image))
    factor = max(1, _ENLARGED // max(seen.size))
    with written_whole(picture) as file:
        seen.resize((seen.width * factor, seen.height * factor), 0).save(file, format="png")


def _print(answers: list[dict[str, Any]]) -> None:
    paths = [printable(answer["path"]) for answer in answers]
    width = max(map(len, paths), default=0)
    for path, answer in zip(paths, answers, strict=True):
        first, *others = (
            (printable(guess["label"]), f"{guess['probability']:.1%}") for guess in answer["top"]
        )
        line = f"{path:<{width}}  {'  '.join(first)}"
        if not answer["known"]:
            nearest = ", ".join(map(" ".join, (first, *others)))
            line = f"{path:<{width}}  {printable(answer['label'])}  (nearest to {nearest})"
        elif others:
            line += f"  ({', '.join(map(' '.join, others))})"
        typer.echo(line)


def _table(answers: list[dict[str, Any]]) -> str:
    """Return one row for each image: path, answer, then label and probability of each guess."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    guesses = max((len(answer["top"]) for answer in answers), default=1)
    names = [
        f"{name}_{rank}" for rank in range(1, guesses + 1) for name in ("label", "probability")
    ]
    writer.writerow(["path", "label", "known", "distance", *names])
    for answer in answers:
        cells = [value for guess in answer["top"] for value in guess.values()]
        known = "true" if answer["known"] else "false"
        writer.writerow([answer["path"], answer["label"], known, answer["distance"], *cells])
    return text.getvalue()
