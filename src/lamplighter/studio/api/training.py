"""Trainings, as they go, and the runs that they leave."""

from __future__ import annotations

import importlib.util
from typing import TYPE_CHECKING, Any

from starlette.routing import Route

from lamplighter.errors import MissingPackageError
from lamplighter.installation import install_command
from lamplighter.models.registry import list_strategies
from lamplighter.names import unknown_name
from lamplighter.studio.calls import Fields, RequestError, call
from lamplighter.studio.classifiers import known_runs, run_of
from lamplighter.studio.training import KIND, start_digits, start_photos

if TYPE_CHECKING:
    from lamplighter.studio.runs import Run
    from lamplighter.studio.studio import Studio

_BACKBONES = {
    "efficientnet-lite0": "EfficientNet-Lite0: fast",
    "efficientnet-lite2": "EfficientNet-Lite2: more accurate, some three times slower",
}
_PRECISIONS = ("fp32", "int8", "auto")
_NEED_TORCH = ("head", "blocks", "full")
# Of `lamplighter.RECIPES` those for digits, which cannot be imported without torch.
_RECIPES = {
    "quick": ("over 99 % right in some seconds", 2),
    "lab": ("a first course's: 10 epochs of Adam", 10),
    "best": ("over 99.7 % right in many minutes", 26),
}
_MOST_EPOCHS, _MOST_MINUTES = 200, 24 * 60


def choices(studio: Studio, fields: Fields) -> dict[str, Any]:
    """Return what there is to choose from, and what is needed for what is not here."""
    torch = _has_torch()
    return {
        "torch": torch,
        "install": install_command(),
        "methods": [
            {"name": name, "summary": summary, "here": torch or name not in _NEED_TORCH}
            for name, summary in list_strategies().items()
        ],
        "backbones": [{"name": name, "summary": text} for name, text in _BACKBONES.items()],
        "precisions": _PRECISIONS,
        "recipes": [
            {"name": name, "summary": summary, "epochs": epochs}
            for name, (summary, epochs) in _RECIPES.items()
        ],
    }


def start(studio: Studio, fields: Fields) -> dict[str, Any]:
    """Begin a training on the labels that hold now."""
    known = list_strategies()
    methods = fields.texts("methods")
    for name in methods:
        if name not in known:
            raise RequestError(unknown_name("method", name, known))
    if not methods:
        raise RequestError("choose one method or more.")
    settings = {
        "name": fields.text("name", ""),
        "methods": [name for name in known if name in methods],
        "backbone": _one_of("backbone", fields.text("backbone"), _BACKBONES),
        "minutes": _within("minutes", fields.number("minutes"), 0.01, _MOST_MINUTES),
        "precision": _one_of("precision", fields.text("precision"), _PRECISIONS),
    }
    return start_photos(studio, settings).to_dict()


def learn_digits(studio: Studio, fields: Fields) -> dict[str, Any]:
    """Begin a training of a network on the embedded digits."""
    if not _has_torch():
        raise MissingPackageError(
            f"training on digits needs torch, which is not installed; {install_command()}."
        )
    settings = {
        "name": fields.text("name", ""),
        "recipe": _one_of("recipe", fields.text("recipe"), _RECIPES),
        "epochs": int(_within("epochs", fields.integer("epochs"), 1, _MOST_EPOCHS)),
    }
    return start_digits(studio, settings).to_dict()


def progress(studio: Studio, fields: Fields) -> dict[str, Any]:
    """Return the last training with all that has happened in it; null where there was none."""
    training, job = studio.training, studio.jobs.find(KIND)
    return {
        "training": None if training is None else training.to_dict(),
        "job": None if job is None else job.to_dict(),
    }


def runs(studio: Studio, fields: Fields) -> dict[str, Any]:
    """Return the runs of the folder that is open and those of the digits, the last one first."""
    return {"runs": [summary(run) for run in known_runs(studio)]}


def rename(studio: Studio, fields: Fields) -> dict[str, Any]:
    """Give a run another name."""
    renamed = run_of(studio, fields.text("run")).rename(fields.text("name"))
    studio.events.publish("runs", {})
    return summary(renamed)


def delete(studio: Studio, fields: Fields) -> dict[str, Any]:
    """Remove a run with its classifier."""
    run_of(studio, fields.text("run")).delete()
    studio.events.publish("runs", {})
    return {}


def summary(run: Run) -> dict[str, Any]:
    """Return what a list shows of a run."""
    names = (
        "name",
        "made",
        "kind",
        "settings",
        "data",
        "seconds",
        "stopped",
        "threshold",
        "counts",
    )
    notes = {name: run.notes.get(name) for name in names}
    ladder = run.notes.get("ladder")
    if ladder is None:
        scores = run.notes.get("scores") or {}
        return {**notes, "id": run.id, "method": run.notes["settings"]["recipe"], "scores": scores}
    chosen = next(rung for rung in ladder["rungs"] if rung["name"] == ladder["chosen"])
    tests = {report["split"]: _short(report) for report in ladder["tests"]}
    scores = {"val": _short(chosen["validation"]), **tests}
    return {**notes, "id": run.id, "method": ladder["chosen"], "scores": scores}


def _short(report: dict[str, Any]) -> dict[str, Any]:
    return {name: report[name] for name in ("split", "count", "accuracy", "macro_f1")}


def _has_torch() -> bool:
    return importlib.util.find_spec("torch") is not None


def _one_of(what: str, value: str, known: Any) -> str:
    if value not in known:
        raise RequestError(unknown_name(what, value, known))
    return value


def _within(what: str, value: float, least: float, most: float) -> float:
    if not least <= value <= most:
        raise RequestError(f"{what} must be {least:g} to {most:,}, received {value:g}.")
    return value


routes = [
    Route("/api/training", call(progress)),
    Route("/api/training/choices", call(choices)),
    Route("/api/training/start", call(start), methods=["POST"]),
    Route("/api/training/digits", call(learn_digits), methods=["POST"]),
    Route("/api/runs", call(runs)),
    Route("/api/runs/rename", call(rename), methods=["POST"]),
    Route("/api/runs/delete", call(delete), methods=["POST"]),
]
