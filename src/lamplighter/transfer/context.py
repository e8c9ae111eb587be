"""What all strategies of a ladder share: data, features, and how they are scored."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from lamplighter.errors import OutputError, ResumeError
from lamplighter.evaluation.report import Report
from lamplighter.features.heads.fitting import FittedHead, fit_head, with_head
from lamplighter.files.writing import written_whole
from lamplighter.inference.predictor import Predictions

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from lamplighter.datasets.image_data import ImageData
    from lamplighter.features.extraction import Features
    from lamplighter.models.classifier import Classifier
    from lamplighter.models.reliability import Trust
    from lamplighter.transfer.splits import Watch


def known_labels(features: Features, class_names: Sequence[str]) -> NDArray[np.int64]:
    """Return the labels as indices into `class_names`, -1 for any other class, shape (N,)."""
    index = {name: place for place, name in enumerate(class_names)}
    places = np.array([index.get(name, -1) for name in features.files.class_names], dtype=np.int64)
    return places[features.files.labels]


def report_on(
    features: Features,
    split: str,
    logits: NDArray[np.float32],
    class_names: Sequence[str],
    *,
    trust: Trust | None = None,
    distances: NDArray[np.float32] | None = None,
) -> Report:
    """Return the report on a split whose logits are known.

    Args:
        features: of the images of the split, N of them.
        split: what the split is called.
        logits: of the same images, shape (N, K).
        class_names: K names in the order of the logits; another class is always wrong.
        trust: the temperature and what is unknown, if that was measured.
        distances: of the images to those that were learned from, shape (N,); by default to the
            reference of the trust.
    """
    labels = known_labels(features, class_names)
    names = features.files.class_names
    unknown = [names[label] for label in np.unique(features.files.labels[labels < 0])]
    place = {name: len(class_names) + index for index, name in enumerate(unknown)}
    labels = np.array(
        [
            label if label >= 0 else place[names[given]]
            for label, given in zip(labels, features.files.labels, strict=True)
        ],
        dtype=np.int64,
    )
    predictions = Predictions(logits, tuple(class_names))
    if trust is not None:
        if distances is None and trust.reference is not None:
            distances = trust.distances(features.vectors)
        predictions = Predictions(
            logits,
            tuple(class_names),
            temperature=trust.temperature,
            distances=distances,
            threshold=trust.threshold,
        )
    return Report(
        features.files.name,
        split,
        fingerprint_of(features),
        (*class_names, *unknown),
        labels,
        predictions,
    )


def fingerprint_of(features: Features) -> str:
    """Return a SHA-256 of the content and the class name of every file, in their order."""
    names = features.files.class_names
    digest = hashlib.sha256()
    for content, label in zip(features.hashes, features.files.labels, strict=True):
        digest.update(f"{content} {names[label]}\n".encode(errors="surrogatepass"))
    return digest.hexdigest()


_PLAN = "plan.json"


@dataclass(eq=False, kw_only=True)
class Context:
    """What all rungs stand on.

    Attributes:
        base: the classifier whose features are used.
        train: features of the training images.
        val: features of the validation images.
        both: features of the training images and, after them, the validation images.
        class_names: the K classes that have training images.
        pixels: reads the images themselves, for rungs that need them.
        backbone_seconds: the network's time for one image.
        balanced: whether rare classes count as much as common ones.
        seed: of all random numbers.
        deadline: when the budget is spent, as `time.monotonic` has it.
        folder: where checkpoints are kept; None keeps none.
        resume: whether to continue from them.
        watch: what is told of each epoch, and says how much fine-tuning shows.
    """

    base: Classifier
    train: Features
    val: Features
    both: Features
    class_names: tuple[str, ...]
    pixels: Callable[[], ImageData]
    backbone_seconds: float
    balanced: bool
    seed: int
    deadline: float
    folder: Path | None
    resume: bool
    watch: Watch
    _linear: FittedHead | None = field(default=None, init=False)

    def fitted(self, kind: str) -> FittedHead:
        """Return a head fitted to the training features; a linear one is fitted once."""
        if kind == "linear" and self._linear is not None:
            return self._linear
        head = fit_head(
            kind,
            self.train.vectors,
            known_labels(self.train, self.class_names),
            len(self.class_names),
            balanced=self.balanced,
            seed=self.seed,
            groups=self.train.files.groups,
        )
        if kind == "linear":
            self._linear = head
        return head

    def classifier_with(self, fitted: FittedHead, class_names: Sequence[str]) -> Classifier:
        """Return a classifier of the backbone and a head that has learned these classes."""
        return with_head(self.base, fitted, class_names)


@dataclass(frozen=True)
class Plan:
    """What fine-tuning was begun with.

    Attributes:
        epochs: of how many it is to be.
        seconds: what those that are done took.
    """

    epochs: int
    seconds: float = 0.0


def begin(folder: Path | None, context: Context, epochs: int) -> None:
    """Note in `folder` what fine-tuning begins with, so that it can be resumed, and only so.

    Raises:
        OutputError: the folder cannot be written to.
    """
    if folder is None:
        return
    try:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "last.ckpt").unlink(missing_ok=True)
    except OSError as error:
        raise OutputError(
            f"{folder}, for checkpoints, cannot be written to: {error.strerror}; choose another "
            "place."
        ) from error
    _write(folder, {**_terms(context), "epochs": epochs, "seconds": 0.0})


def note_seconds(folder: Path, seconds: float) -> None:
    """Note how long the epochs that are done took, for the case that it is stopped.

    Raises:
        OutputError: the folder cannot be written to.
    """
    plan = json.loads((folder / _PLAN).read_bytes())
    _write(folder, {**plan, "seconds": seconds})


def _write(folder: Path, plan: dict[str, Any]) -> None:
    with written_whole(folder / _PLAN) as file:
        file.write(json.dumps(plan, indent=2).encode() + b"\n")


def planned(folder: Path | None, context: Context) -> Plan | None:
    """Return what a fine-tuning that was stopped was begun with, or None if none was.

    Raises:
        ResumeError: it was begun with other images, another backbone or other settings.
    """
    if folder is None or not (folder / "last.ckpt").is_file():
        return None
    try:
        plan = json.loads((folder / _PLAN).read_bytes())
        noted = Plan(int(plan["epochs"]), float(plan.get("seconds", 0.0)))
    except (OSError, ValueError, KeyError, AttributeError, TypeError) as error:
        raise ResumeError(
            f"{folder / _PLAN} is missing or damaged, so the settings of the "
            "fine-tuning are unknown; start again without --resume."
        ) from error
    differing = [name for name, value in _terms(context).items() if plan.get(name) != value]
    if differing:
        raise ResumeError(
            f"the fine-tuning in {folder} was started with another {differing[0]}; "
            "start again without --resume."
        )
    return noted


def _terms(context: Context) -> dict[str, Any]:
    return {
        "training images": fingerprint_of(context.train),
        "validation images": fingerprint_of(context.val),
        "backbone": context.train.network,
        "balancing": context.balanced,
        "seed": context.seed,
    }
