"""The output of `predict`: a line for each image, a table, or one JSON document."""

from __future__ import annotations

import csv
import io
import json
import sys
from collections import Counter
from typing import TYPE_CHECKING, Any, Protocol

import typer

from lamplighter.cli.terminal import printable
from lamplighter.text import counted

if TYPE_CHECKING:
    from collections.abc import Iterable

    from lamplighter.inference.predictor import Prediction

_MOST_COUNTED = 20  # labels in the summary; the others are one number


class Output(Protocol):
    """Takes the result of each image in turn."""

    def add(self, name: str, answer: Prediction) -> None:
        """Write what is said of the image `name`, or why nothing is."""

    def end(self, tally: Tally) -> None:
        """Write what comes after the last one."""


class Tally:
    """Counts answers by label.

    Attributes:
        images: how many results there were.
        classes: images by the name of the class that they were given to.
        unknown: how many were called unknown; None where that was never measured.
        errors: how many images cannot be used.
    """

    def __init__(self) -> None:
        self.images = self.errors = 0
        self.classes: Counter[str] = Counter()
        self.unknown: int | None = None
        self._unknown_label = ""

    def add(self, answer: Prediction) -> None:
        """Count one more."""
        self.images += 1
        if answer.known is not None:
            self.unknown = (self.unknown or 0) + (not answer.known)
        if answer.error is not None:
            self.errors += 1
        elif answer.known is False:
            self._unknown_label = answer.label or ""
        else:
            self.classes[answer.label or ""] += 1

    def to_dict(self) -> dict[str, Any]:
        """Return the counts as plain JSON, classes with most images first."""
        return {
            "images": self.images,
            "classes": dict(self.classes.most_common()),
            "unknown": self.unknown,
            "errors": self.errors,
        }

    def __str__(self) -> str:
        rows = [(count, name) for name, count in self.classes.most_common(_MOST_COUNTED)]
        others = self.classes.most_common()[_MOST_COUNTED:]
        if others:
            what = counted(len(others), "other class", "other classes")
            rows.append((sum(count for _, count in others), what))
        if self.unknown:
            rows.append((self.unknown, self._unknown_label))
        if self.errors:
            rows.append((self.errors, "cannot be used"))
        rows.append((self.images, "in all"))
        lines = ["images  answer", *(f"{count:>6,}  {printable(name)}" for count, name in rows)]
        return "\n".join(lines)


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
        cells = [cell for guess in answer.guesses for cell in (guess[0], round(guess[1], 6))]
        cells += [""] * (2 * self._guesses - len(cells))
        known = {None: "", True: "true", False: "false"}[answer.known]
        self._write([name, answer.label, known, _rounded(answer.distance), *cells, answer.error])
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
        self._predictions: list[dict[str, Any]] = []
        self._errors: list[dict[str, str]] = []

    def add(self, name: str, answer: Prediction) -> None:
        """Keep one result."""
        if answer.error is not None:
            self._errors.append({"path": name, "error": str(answer.error)})
            sys.stderr.write(f"lamplighter: {printable(str(answer.error))}\n")
            return
        self._predictions.append(
            {
                "path": name,
                "label": answer.label,
                "known": answer.known,
                "distance": _rounded(answer.distance),
                "top": [
                    {"label": label, "probability": round(probability, 6)}
                    for label, probability in answer.guesses
                ],
            }
        )

    def end(self, tally: Tally) -> None:
        """Write the document."""
        document = {
            "predictions": self._predictions,
            "errors": self._errors,
            "summary": tally.to_dict(),
        }
        typer.echo(json.dumps(document, indent=2))


def _tell(tally: Tally) -> None:
    if tally.images > 1:
        sys.stdout.flush()
        sys.stderr.write(f"{tally}\n")


def _rounded(distance: float | None) -> float | None:
    return None if distance is None else round(distance, 6)
