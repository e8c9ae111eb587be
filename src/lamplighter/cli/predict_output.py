"""The output of `predict`: a line for each image, a table, or one JSON document."""

from __future__ import annotations

import csv
import io
import json
import sys
from typing import TYPE_CHECKING, Any, Protocol

import typer

from lamplighter.cli.terminal import printable
from lamplighter.inference.documents import PredictionDocument, Tally, rounded

if TYPE_CHECKING:
    from collections.abc import Iterable

    from lamplighter.inference.predictor import Prediction


class Output(Protocol):
    """Takes the result of each image in turn."""

    def add(self, name: str, answer: Prediction) -> None:
        """Write what is said of the image `name`, or why nothing is."""

    def end(self, tally: Tally) -> None:
        """Write what comes after the last one."""


class Lines:
    """A line for each image; errors and the summary go to stderr.

    Args:
        names: what all images are called, so that their answers stand in a column.
    """

    def __init__(self, names: Iterable[str]) -> None:
        self._width = max((len(printable(name)) for name in names), default=0)

    def add(self, name: str, answer: Prediction) -> None:
        """Write one line."""
        if answer.error is not None:
            sys.stdout.flush()  # so that the lines stand in order where both are a terminal
            sys.stderr.write(f"lamplighter: {printable(str(answer.error))}\n")
            return
        first, *others = (
            f"{printable(label)} {probability:.1%}" for label, probability in answer.guesses
        )
        said = printable(answer.guesses[0][0]) + f"  {answer.guesses[0][1]:.1%}"
        if answer.known is False:
            said = f"{printable(answer.label or '')}  (nearest to {', '.join((first, *others))})"
        elif others:
            said += f"  ({', '.join(others)})"
        typer.echo(f"{printable(name):<{self._width}}  {said}")

    def end(self, tally: Tally) -> None:
        """Write the summary, where there is something to sum up."""
        _tell(tally)


class Table:
    """One row of comma-separated values for each image, those that cannot be used among them.

    Args:
        guesses: how many classes are named for each image.
    """

    def __init__(self, guesses: int) -> None:
        self._guesses = guesses
        ranks = range(1, guesses + 1)
        names = [f"{name}_{rank}" for rank in ranks for name in ("label", "probability")]
        self._write(["path", "label", "known", "distance", *names, "error"])

    def add(self, name: str, answer: Prediction) -> None:
        """Write one row."""
        cells = [cell for guess in answer.guesses for cell in (guess[0], rounded(guess[1]))]
        cells += [""] * (2 * self._guesses - len(cells))
        known = {None: "", True: "true", False: "false"}[answer.known]
        self._write([name, answer.label, known, rounded(answer.distance), *cells, answer.error])
        if answer.error is not None:
            sys.stderr.write(f"lamplighter: {printable(str(answer.error))}\n")

    def end(self, tally: Tally) -> None:
        """Write the summary to stderr, where there is something to sum up."""
        _tell(tally)

    def _write(self, cells: list[Any]) -> None:
        text = io.StringIO()
        csv.writer(text, lineterminator="\n").writerow(cells)
        typer.echo(text.getvalue(), nl=False)


class Document:
    """One JSON document, written at the end."""

    def __init__(self) -> None:
        self._document = PredictionDocument()

    def add(self, name: str, answer: Prediction) -> None:
        """Keep one result; errors go to stderr as well."""
        self._document.add(name, answer)
        if answer.error is not None:
            sys.stderr.write(f"lamplighter: {printable(str(answer.error))}\n")

    def end(self, tally: Tally) -> None:
        """Write the document."""
        typer.echo(json.dumps(self._document.to_dict(), indent=2))


def _tell(tally: Tally) -> None:
    if tally.images > 1:
        sys.stdout.flush()
        sys.stderr.write(f"{tally}\n")
