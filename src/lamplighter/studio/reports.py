"""The report of a training as a page: of what it answered to images that it had held out."""

from __future__ import annotations

import csv
import io
from typing import TYPE_CHECKING

from lamplighter.datasets.image_data import ImageData
from lamplighter.errors import ImageError, MissingDatasetError
from lamplighter.evaluation.report_page import report_page
from lamplighter.files.naming import lasting
from lamplighter.files.writing import written_whole
from lamplighter.studio.held_out import read_answers

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray

    from lamplighter.evaluation.report import Report
    from lamplighter.models.classifier import Classifier
    from lamplighter.studio.held_out import HeldOut
    from lamplighter.studio.jobs import Job
    from lamplighter.studio.runs import Run

SPLITS = "splits.csv"  # which image was held out for which split, for `lamplighter evaluate`
_MISTAKES = 24  # of a split, with their pictures


def make_report(run: Run, classifier: Classifier, root: Path | None, name: str, job: Job) -> str:
    """Return the report of a training as HTML.

    Args:
        run: the training.
        classifier: that of the training.
        root: the folder that its images are in; None for those of the embedded digits.
        name: what the classifier is called.
        job: is told how far it is.

    Raises:
        MissingBundleError: nobody knows what the classifier answered.
        MissingDatasetError: it was measured on nothing.
        StoppedError: the person has stopped the job.
    """
    measured = _measured(read_answers(run.folder))
    reports = [part.report for part in measured.values()]
    total = sum(min(_MISTAKES, int((~report.right).sum())) for report in reports)
    shown = _digits if root is None else _photos(root, classifier, measured)
    done = 0
    with job.progress("reading the mistakes") as progress:

        def pictures(report: Report, row: int) -> NDArray[np.uint8] | None:
            nonlocal done
            done += 1
            progress(done, total)
            return shown(report, row)

        counts = run.notes.get("counts")
        return report_page(
            classifier,
            reports,
            pictures=pictures,
            counts=counts if isinstance(counts, dict) else None,
            title=name,
            bundle=f"{name}.lamp",
            most_mistakes=_MISTAKES,
        )


def write_splits(run: Run, root: Path) -> Path:
    """Write which images a training held out beside its bundle, where that is not done yet.

    Args:
        run: a training of photos.
        root: the folder that its images are in.

    Raises:
        MissingBundleError: nobody knows what the classifier answered.
        OutputError: it cannot be written.
    """
    path = run.folder / SPLITS
    if path.is_file():
        return path
    text = io.StringIO(newline="")
    writer = csv.writer(text)
    writer.writerow(["path", "label", "split"])
    for split, part in read_answers(run.folder).items():
        names = part.report.class_names
        for file, label in zip(part.paths, part.report.labels, strict=True):
            place = lasting((root / file).absolute())  # what is in the cache may be gone tomorrow
            writer.writerow([place.as_posix(), names[label], split])
    with written_whole(path) as file_:
        file_.write(text.getvalue().encode("utf-8", "surrogateescape"))
    return path


def measured_split(run: Run) -> str:
    """Return the split that tells most of what a training is worth.

    Raises:
        MissingBundleError: nobody knows what the classifier answered.
        MissingDatasetError: it was measured on nothing.
    """
    return next(iter(_measured(read_answers(run.folder))))


def _measured(answers: dict[str, HeldOut]) -> dict[str, HeldOut]:
    """Return the test splits, "test" first; the validation split where there is no other."""
    tests = sorted((name for name in answers if name != "val"), key=lambda one: one != "test")
    chosen = tests or list(answers)
    if not chosen:
        raise MissingDatasetError(
            "this training has held out no images to be measured on; keep some for testing, and "
            "train again."
        )
    return {name: answers[name] for name in chosen}


def _photos(
    root: Path, classifier: Classifier, measured: dict[str, HeldOut]
) -> Callable[[Report, int], NDArray[np.uint8] | None]:
    wanted = classifier.preprocessing

    def pixels(report: Report, row: int) -> NDArray[np.uint8] | None:
        try:
            return wanted.pixels(wanted.open(root / measured[report.split].paths[row]))
        except ImageError:  # moved or removed since: the page goes without its picture
            return None

    return pixels


def _digits(report: Report, row: int) -> NDArray[np.uint8] | None:
    if report.split != "test":  # others were drawn from the training images
        return None
    pixels: NDArray[np.uint8] = ImageData.mnist()["test"].images[row]
    return pixels
