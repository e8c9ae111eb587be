"""What a training answered to the images that it was not trained on, kept with its run."""

from __future__ import annotations

import base64
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from lamplighter.errors import DatasetError, MissingBundleError
from lamplighter.evaluation.report import Report
from lamplighter.files.naming import shown
from lamplighter.files.writing import written_whole
from lamplighter.inference.predictor import Predictions

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

FILE = "answers.json"


@dataclass(frozen=True, eq=False)
class HeldOut:
    """A split that a training did not learn from.

    Attributes:
        paths: N files, as the folder of photos has them.
        report: what was answered to each, with the labels that held at the training.
    """

    paths: tuple[str, ...]
    report: Report

    def take(self, rows: Sequence[int] | NDArray[np.intp]) -> HeldOut:
        """Return some of the images, in the order of `rows`."""
        report, said = self.report, self.report.predictions
        chosen = np.asarray(rows, dtype=np.intp)
        distances = None if said.distances is None else said.distances[chosen]
        predictions = Predictions(
            said.logits[chosen],
            said.class_names,
            temperature=said.temperature,
            distances=distances,
            threshold=said.threshold,
        )
        return HeldOut(
            tuple(self.paths[row] for row in chosen),
            Report(
                report.data,
                report.split,
                "",
                report.class_names,
                report.labels[chosen],
                predictions,
            ),
        )


def write_answers(folder: Path, held_out: Iterable[HeldOut]) -> None:
    """Write what was answered to each split.

    Raises:
        OutputError: it cannot be written.
    """
    content = {part.report.split: _described(part) for part in held_out}
    with written_whole(folder / FILE) as file:
        file.write(json.dumps(content).encode())


def read_answers(folder: Path) -> dict[str, HeldOut]:
    """Return what was answered, by split.

    Raises:
        MissingBundleError: the file is missing or damaged.
    """
    try:
        content = json.loads((folder / FILE).read_bytes())
        return {split: _restored(split, values) for split, values in content.items()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise MissingBundleError(
            f"what this training answered, {shown(folder / FILE)}, cannot be read: {error}; train "
            "again."
        ) from error


def shared(a: Mapping[str, HeldOut], b: Mapping[str, HeldOut], split: str) -> Shared:
    """Return the images of a split that two trainings have both held out there, by path.

    Raises:
        DatasetError: they have none in common.
    """
    if split not in a or split not in b:
        raise DatasetError(f"both trainings need images in {split!r}; choose another split.")
    first, second = a[split], b[split]
    place = {path: row for row, path in enumerate(second.paths)}
    both = [(row, place[path]) for row, path in enumerate(first.paths) if path in place]
    names = [_labels(first), _labels(second)]
    alike = [(one, other) for one, other in both if names[0][one] == names[1][other]]
    if not alike:
        raise DatasetError(
            f"no image of {split!r} was held out in both trainings with the same label, so they "
            "cannot be compared."
        )
    rows_a, rows_b = (list(rows) for rows in zip(*alike, strict=True))
    return Shared(first.take(rows_a), second.take(rows_b), relabelled=len(both) - len(alike))


@dataclass(frozen=True, eq=False)
class Shared:
    """The same images as two trainings answered them.

    Attributes:
        a: what the first answered.
        b: what the second answered.
        relabelled: images that are left out, since their label was changed between the two.
    """

    a: HeldOut
    b: HeldOut
    relabelled: int


def _labels(part: HeldOut) -> list[str]:
    return [part.report.class_names[label] for label in part.report.labels]


def _described(part: HeldOut) -> dict[str, Any]:
    report, said = part.report, part.report.predictions
    return {
        "data": report.data,
        "fingerprint": report.fingerprint,
        "class_names": report.class_names,
        "answers": len(said.class_names),
        "paths": part.paths,
        "labels": report.labels.tolist(),
        "logits": _packed(said.logits),
        "temperature": said.temperature,
        "distances": None if said.distances is None else _packed(said.distances),
        "threshold": said.threshold,
    }


def _packed(array: NDArray[np.float32]) -> str:
    """Return numbers as base64: exact, and a fifth of what they take as text."""
    return base64.b64encode(array.astype("<f4").tobytes()).decode()


def _unpacked(text: str) -> NDArray[np.float32]:
    return np.frombuffer(base64.b64decode(text, validate=True), dtype="<f4").astype(np.float32)


def _restored(split: str, values: dict[str, Any]) -> HeldOut:
    names, distances = tuple(values["class_names"]), values["distances"]
    count = len(values["paths"])
    logits = _unpacked(values["logits"]).reshape(count, values["answers"])
    labels = np.array(values["labels"], dtype=np.int64)
    if labels.shape != (count,):
        raise ValueError("its columns differ in length")
    predictions = Predictions(
        logits,
        names[: values["answers"]],
        temperature=values["temperature"],
        distances=None if distances is None else _unpacked(distances).reshape(count),
        threshold=values["threshold"],
    )
    report = Report(values["data"], split, values["fingerprint"], names, labels, predictions)
    return HeldOut(tuple(values["paths"]), report)
