"""The command that answers: predict."""

from __future__ import annotations

import csv
import dataclasses
import io
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from lamplighter.errors import ImageError, OutputError

if TYPE_CHECKING:
    from PIL import Image

    from lamplighter.models.classifier import Classifier

_ENLARGED = 280


def predict(
    bundle: Annotated[Path, typer.Argument(help="The classifier, NAME.lamp.")],
    images: Annotated[list[Path], typer.Argument(help="Image files.")],
    top: Annotated[int, typer.Option(min=1, help="How many classes to name for each.")] = 3,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document.")] = False,
    as_csv: Annotated[
        bool, typer.Option("--csv", help="Print a table of comma-separated values.")
    ] = False,
    show_input: Annotated[
        Path | None, typer.Option(help="Write what the network sees of each image to this folder.")
    ] = None,
    as_is: Annotated[
        bool, typer.Option("--as-is", help="Do not look for a digit: take the whole image.")
    ] = False,
) -> None:
    """Say what is in each image.

    A file that cannot be read is reported and the others are answered; the exit code is then 1.
    """
    if as_json and as_csv:
        raise typer.BadParameter("choose one of --json and --csv.")
    from lamplighter.saving.bundle import load

    classifier = load(bundle)
    if as_is:
        classifier.preprocessing = dataclasses.replace(classifier.preprocessing, find_digit=False)
    answers, failures = _answers(classifier, images, top, show_input)
    if as_json:
        typer.echo(json.dumps({"predictions": answers, "errors": failures}, indent=2))
    elif as_csv:
        typer.echo(_table(answers), nl=False)
    else:
        _print(answers)
    for failure in failures:
        sys.stderr.write(f"lamplighter: {' '.join(failure['error'].split())}\n")
    if failures:
        raise typer.Exit(1)


def _answers(
    classifier: Classifier, images: list[Path], top: int, show_input: Path | None
) -> tuple[list[dict[str, Any]], list[dict[str, str]]]:
    """Return an answer for each image that can be read, and an error for each other."""
    from lamplighter.data.images import open_image
    from lamplighter.inference.predictor import predict as ask

    answers: list[dict[str, Any]] = []
    failures: list[dict[str, str]] = []
    for number, path in enumerate(images, start=1):
        try:
            image = open_image(path)
            predictions = ask(classifier, [image])
            if show_input is not None:
                _show(classifier, image, show_input, f"{number:03d}-{path.stem}.png")
        except ImageError as error:
            failures.append({"path": str(path), "error": str(error)})
            continue
        guesses = [
            {"label": label, "probability": round(probability, 6)}
            for label, probability in predictions.top(top)[0]
        ]
        answers.append({"path": str(path), "label": guesses[0]["label"], "top": guesses})
    return answers, failures


def _show(classifier: Classifier, image: Image.Image, folder: Path, name: str) -> None:
    """Write what the network sees, small inputs enlarged without smoothing."""
    seen = classifier.preprocessing.seen(image)
    factor = max(1, _ENLARGED // max(seen.size))
    try:
        folder.mkdir(parents=True, exist_ok=True)
        seen.resize((seen.width * factor, seen.height * factor), 0).save(folder / name)
    except OSError as error:
        raise OutputError(
            f"{folder / name} cannot be written: {error.strerror}; choose another folder."
        ) from error


def _print(answers: list[dict[str, Any]]) -> None:
    width = max((len(answer["path"]) for answer in answers), default=0)
    for answer in answers:
        first, *others = answer["top"]
        line = f"{answer['path']:<{width}}  {first['label']}  {first['probability']:.1%}"
        rest = ", ".join(f"{guess['label']} {guess['probability']:.1%}" for guess in others)
        typer.echo(f"{line}  ({rest})" if rest else line)


def _table(answers: list[dict[str, Any]]) -> str:
    """Return one row for each image: path, then label and probability of each guess."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    guesses = max((len(answer["top"]) for answer in answers), default=1)
    names = [
        f"{name}_{rank}" for rank in range(1, guesses + 1) for name in ("label", "probability")
    ]
    writer.writerow(["path", *names])
    for answer in answers:
        cells = [value for guess in answer["top"] for value in guess.values()]
        writer.writerow([answer["path"], *cells])
    return text.getvalue()
