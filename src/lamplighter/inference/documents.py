"""The JSON document of predictions, as `predict --json` prints it and the service sends it."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

from lamplighter.text import counted, printable

if TYPE_CHECKING:
    from lamplighter.inference.predictor import Prediction

_MOST_COUNTED = 20  # labels in the summary; the others are one number
_DIGITS = 6  # of probabilities and distances


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


class PredictionDocument:
    """Predictions as plain JSON types: those of usable images, errors of the others, a summary."""

    def __init__(self) -> None:
        self._predictions: list[dict[str, Any]] = []
        self._errors: list[dict[str, str]] = []
        self._tally = Tally()

    def add(self, name: str, answer: Prediction) -> None:
        """Take what is said of the image `name`, or why nothing is."""
        self._tally.add(answer)
        if answer.error is not None:
            self._errors.append({"path": name, "error": str(answer.error)})
            return
        self._predictions.append(
            {
                "path": name,
                "label": answer.label,
                "known": answer.known,
                "distance": rounded(answer.distance),
                "top": [
                    {"label": label, "probability": rounded(probability)}
                    for label, probability in answer.guesses
                ],
            }
        )

    def to_dict(self) -> dict[str, Any]:
        """Return the document."""
        return {
            "predictions": self._predictions,
            "errors": self._errors,
            "summary": self._tally.to_dict(),
        }


def rounded(value: float | None) -> float | None:
    """Return a probability or distance as it is printed."""
    return None if value is None else round(value, _DIGITS)
