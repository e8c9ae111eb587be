"""What trainings are worth: scores, mistakes, what is unknown, comparisons."""

from __future__ import annotations

import functools
import io
import threading
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request  # noqa: TC002 - Starlette looks at what is annotated
from starlette.responses import Response
from starlette.routing import Route

from lamplighter.errors import DatasetError
from lamplighter.evaluation.calibration import reliability
from lamplighter.evaluation.comparison import Comparison
from lamplighter.evaluation.intervals import mcnemar, wilson
from lamplighter.evaluation.open_set import Answered, coverage_curve
from lamplighter.evaluation.reliability import with_threshold
from lamplighter.saving.bundle import save
from lamplighter.studio.api.training import summary
from lamplighter.studio.calls import Fields, call
from lamplighter.studio.classifiers import run_of
from lamplighter.studio.held_out import HeldOut, read_answers, shared, write_answers
from lamplighter.studio.worker import digits_to_learn

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from lamplighter.evaluation.report import Report
    from lamplighter.studio.runs import Run
    from lamplighter.studio.studio import Studio

_BINS = 10  # of the reliability plot: with 15, few images would be in each
_MISTAKES = 300  # that are listed
_UNPACKING = threading.Lock()
_COLUMNS = ("paths", "splits", "truth", "answers", "confidence", "known", "distances")


def results(studio: Studio, fields: Fields) -> dict[str, Any]:
    """Return all scores of a run on a split; "" means the last run, and its test split."""
    run, answers = _answers(studio, fields.text("run", ""))
    split = fields.text("split", "") or _first_split(answers)
    part = _part(answers, split)
    ladder = run.notes.get("ladder")
    return {
        "run": summary(run),
        "splits": [{"name": name, "count": len(one.paths)} for name, one in answers.items()],
        "split": split,
        "report": part.report.to_dict(),
        "recall": _recalls(part.report),
        "answers": part.report.predictions.class_names,
        "reliability": _reliability(part.report),
        "unknown": _unknown(part.report),
        "mistakes": _mistakes(part),
        "ladder": None if ladder is None else _table(ladder),
    }


def answers(studio: Studio, fields: Fields) -> dict[str, Any]:
    """Return what a run answered to each image that it held out, as columns."""
    run, found = _answers(studio, fields.text("run", ""))
    columns: dict[str, list[Any]] = {name: [] for name in _COLUMNS}
    names = sorted({name for part in found.values() for name in part.report.class_names})
    place = {name: number for number, name in enumerate(names)}
    for number, part in enumerate(found.values()):
        report, said = part.report, part.report.predictions
        known_as = [place[name] for name in report.class_names]
        columns["paths"] += part.paths
        columns["splits"] += [number] * len(part.paths)
        columns["truth"] += [known_as[label] for label in report.labels]
        columns["answers"] += [known_as[label] for label in report.predicted]
        columns["confidence"] += said.probabilities.max(axis=1).round(4).tolist()
        columns["known"] += said.known.astype(int).tolist()
        apart = said.distances
        columns["distances"] += [None] * len(said) if apart is None else apart.tolist()
    return {
        "run": run.id,
        "name": run.name,
        "split_names": list(found),
        "class_names": names,
        **columns,
    }


def set_threshold(studio: Studio, fields: Fields) -> dict[str, Any]:
    """Change from which distance on the classifier of a run calls an image unknown."""
    run, found = _answers(studio, fields.text("run"))
    threshold = fields.number("threshold")
    if "val" not in found:
        raise DatasetError("this training has no validation images to measure a threshold on.")
    classifier = run.classifier()
    if classifier.trust is None:
        raise DatasetError("this classifier was not calibrated, and calls nothing unknown.")
    classifier.trust = with_threshold(classifier.trust, threshold, found["val"].report)
    changed = {split: _at(part, threshold) for split, part in found.items()}
    for split, part in changed.items():
        if split in classifier.record.scores and split != "val":
            classifier.record.scores[split] = part.report.summary()
    save(classifier, run.bundle)
    write_answers(run.folder, changed.values())
    run = run.note(threshold=threshold)
    studio.events.publish("runs", {})
    return summary(run)


def compare(studio: Studio, fields: Fields) -> dict[str, Any]:
    """Compare two runs on the images that both have held out."""
    (a, first), (b, second) = (_answers(studio, fields.text(name)) for name in ("a", "b"))
    both = shared(first, second, fields.text("split"))
    one, other = both.a.report, both.b.report
    comparison = Comparison(one, other, mcnemar(one.right, other.right))
    return {
        "a": summary(a),
        "b": summary(b),
        "count": one.count,
        "relabelled": both.relabelled,
        "accuracy": [one.accuracy.to_dict(), other.accuracy.to_dict()],
        "test": comparison.test.to_dict(),
        "sentence": comparison.sentence(a.name, b.name),
        "differing": _differing(both.a, both.b),
    }


async def digit(request: Request) -> Response:
    """Return an embedded digit as a picture."""
    fields = Fields(dict(request.query_params))
    data = await run_in_threadpool(_digit, fields.text("split"), fields.integer("number"))
    headers = {"cache-control": "private, max-age=86400"}
    return Response(data, media_type="image/png", headers=headers)


def _digit(split: str, number: int) -> bytes:
    with _UNPACKING:  # once, however many pictures are asked for
        images = _digits(split)
    if not 0 <= number < len(images):
        raise DatasetError(f"{split!r} has {len(images):,} digits, received number {number}.")
    encoded = io.BytesIO()
    Image.fromarray(images[number]).save(encoded, format="PNG")
    return encoded.getvalue()


@functools.lru_cache(maxsize=2)
def _digits(split: str) -> NDArray[np.uint8]:
    """Return the pixels of a split that trainings on digits hold out, shape (N, 28, 28)."""
    return digits_to_learn()[split].images[:, 0].copy()


def _answers(studio: Studio, name: str) -> tuple[Run, dict[str, HeldOut]]:
    run = run_of(studio, name)
    return run, read_answers(run.folder)


def _first_split(found: dict[str, HeldOut]) -> str:
    return next((name for name in found if name.startswith("test")), next(iter(found), ""))


def _part(found: dict[str, HeldOut], split: str) -> HeldOut:
    if split not in found:
        raise DatasetError(
            f"this training has no answers for {split!r}; it has {', '.join(found) or 'none'}."
        )
    return found[split]


def _recalls(report: Report) -> list[dict[str, float] | None]:
    """Return the interval of the recall of each class; None where it has no image."""
    hits = np.diagonal(report.confusion)
    return [
        wilson(int(hit), int(count)).to_dict() if count else None
        for hit, count in zip(hits, report.scores.support, strict=True)
    ]


def _reliability(report: Report) -> dict[str, Any]:
    values = reliability(report.predictions.probabilities, report.labels, _BINS).to_dict()
    return {**values, "temperature": report.predictions.temperature}


def _unknown(report: Report) -> dict[str, Any] | None:
    """Return how much is answered, and how well, from threshold to threshold."""
    distances, now = report.predictions.distances, report.predictions.threshold
    if distances is None or now is None:
        return None
    curve = coverage_curve(distances, report.right)
    # The one that holds is among them, whatever images there are.
    thresholds = sorted({*curve.threshold.tolist(), now})
    points = [
        {"threshold": one, **Answered.of(distances <= one, report.right).to_dict()}
        for one in thresholds
        if (distances <= one).any() or one == now
    ]
    place = next(n for n, point in enumerate(points) if point["threshold"] == now)
    return {"threshold": now, "at": place, "points": points}


def _mistakes(part: HeldOut) -> list[dict[str, Any]]:
    """Return the images that were answered wrong, those first that it was most sure of."""
    report, said = part.report, part.report.predictions
    sure = said.probabilities.max(axis=1)
    wrong = np.flatnonzero(~report.right)
    return [
        {
            "path": part.paths[row],
            "truth": report.class_names[report.labels[row]],
            "answer": report.class_names[report.predicted[row]],
            "confidence": float(sure[row]),
            "known": bool(said.known[row]),
        }
        for row in wrong[np.argsort(-sure[wrong], kind="stable")][:_MISTAKES]
    ]


def _differing(a: HeldOut, b: HeldOut) -> list[dict[str, Any]]:
    """Return the images on which just one of two is right."""
    found = []
    for row in np.flatnonzero(a.report.right != b.report.right)[:_MISTAKES]:
        said = [part.report.class_names[part.report.predicted[row]] for part in (a, b)]
        truth = a.report.class_names[a.report.labels[row]]
        found.append({"path": a.paths[row], "truth": truth, "a": said[0], "b": said[1]})
    return found


def _at(part: HeldOut, threshold: float) -> HeldOut:
    said = replace(part.report.predictions, threshold=threshold)
    return replace(part, report=replace(part.report, predictions=said))


def _table(ladder: dict[str, Any]) -> dict[str, Any]:
    return {name: ladder[name] for name in ("rungs", "left_out", "chosen", "recommendation")}


routes = [
    Route("/api/results", call(results)),
    Route("/api/results/answers", call(answers)),
    Route("/api/results/threshold", call(set_threshold), methods=["POST"]),
    Route("/api/results/compare", call(compare)),
    Route("/api/results/digit", digit),
]
