"""The card on a page: what a classifier was trained on, and how well it did."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from lamplighter.evaluation.intervals import estimate_from
from lamplighter.version import __version__

if TYPE_CHECKING:
    from collections.abc import Mapping

    from lamplighter.models.classifier import Classifier

_MOST_VALUES = 6  # of a list that are written out


def card_of(classifier: Classifier) -> dict[str, Any]:
    """Return the card of a classifier as plain JSON types.

    A record may hold anything; what is not of the form that Lamplighter writes is left out.
    """
    recipe = dict(classifier.record.recipe)
    refitted = recipe.pop("refitted", None)
    trust = classifier.trust
    measured: Mapping[str, Any] = trust.measured if trust else {}
    return {
        "network": _network(classifier),
        "recipe": [
            [str(name).replace("_", " "), _written(value)]
            for name, value in recipe.items()
            if value is not None
        ],
        "learned": _count(refitted, "images") or _count(recipe, "vectors"),
        "scores": [
            scores
            for split, said in classifier.record.scores.items()
            if (scores := _scores(split, said)) is not None
        ],
        "calibration": _estimate(measured, "calibration", "after", "error"),
        "coverage": _estimate(measured, "unknown", "coverage"),
        "threshold": trust.threshold if trust else None,
        "written": {
            "created": datetime.now(UTC).date().isoformat(),
            "program": f"Lamplighter {__version__}",
        },
    }


def _network(classifier: Classifier) -> str:
    architecture = classifier.architecture
    if architecture is None:
        return str((classifier.missing or {}).get("class", "a network of one's own"))
    arguments = ", ".join(
        f"{str(name).replace('_', ' ')} {_written(value)}"
        for name, value in architecture.arguments.items()
    )
    return f"{architecture.name} ({arguments})" if arguments else architecture.name


def _scores(split: str, said: Any) -> dict[str, Any] | None:
    """Return the scores of a split, or None of what is no evaluation."""
    count = _count(said, "count")
    accuracy = _estimate({"said": said}, "said", "accuracy")
    if count is None or accuracy is None:
        return None
    return {
        "split": split,
        "data": str(said.get("data", "")),
        "count": count,
        "accuracy": accuracy,
        "macro_f1": _estimate(said, "macro_f1"),
        "before_refit": said.get("before_refit") is True,
    }


def _count(values: Any, name: str) -> int | None:
    value = values.get(name) if isinstance(values, dict) else None
    return value if type(value) is int else None


def _estimate(values: Any, *names: str) -> dict[str, float] | None:
    """Return an estimate within nested tables as plain JSON; None where there is none."""
    try:
        for name in names:
            values = values[name]
        return estimate_from(values).to_dict()
    except (KeyError, TypeError, ValueError, OverflowError):
        return None


def _written(value: Any) -> str:
    if isinstance(value, dict):
        parts = ((name, one) for name, one in value.items() if one is not None)
        return ", ".join(f"{name} {_written(one)}" for name, one in parts)
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list | tuple):
        if len(value) > _MOST_VALUES:
            return f"{len(value)} values"
        return ", ".join(map(_written, value))
    return f"{value:g}" if isinstance(value, float) else str(value)
