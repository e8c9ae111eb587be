"""The transfer ladder: from a folder of photos to the classifier that suits it."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from lamplighter.data.loading import load_images
from lamplighter.data.wording import counted
from lamplighter.errors import DatasetError, LamplighterError, ResumeError, TrainingError
from lamplighter.evaluation.trust import make_trust
from lamplighter.features.extraction import embed
from lamplighter.features.heads import load_libraries
from lamplighter.inference.runtime import runtime
from lamplighter.models.classifier import check_classifier
from lamplighter.names import unknown_name
from lamplighter.saving.pretrained import pretrained
from lamplighter.transfer.ground import Ground
from lamplighter.transfer.ladder import Ladder
from lamplighter.transfer.preparing import Quiet, Watch, name_set_aside, prepared
from lamplighter.transfer.rungs import RUNGS, BudgetSpentError, Rung, climb
from lamplighter.transfer.scoring import fingerprint_of, known_labels, report_on

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from lamplighter.data.files import ImageFiles
    from lamplighter.data.image_data import ImageData
    from lamplighter.evaluation.report import Report
    from lamplighter.features.extraction import Features
    from lamplighter.models.classifier import Classifier

_SAMPLES = 32
_BATCH = 100
_TIMED = 8  # images that the network is timed on


def climb_ladder(
    source: ImageFiles | str | Path,
    *,
    backbone: Classifier | str = "efficientnet-lite0",
    rungs: Sequence[str] = RUNGS,
    budget: float = 10.0,
    balanced: bool = True,
    seed: int = 7,
    audit: bool = True,
    folder: str | Path | None = None,
    resume: bool = False,
    watch: Watch | None = None,
) -> Ladder:
    """Climb the ladder of transfer learning on photos and return what each rung costs and gains.

    Files are looked through, shared out into splits as far as they are in none, and embedded
    once. Each rung learns from the training images and is measured on the validation images;
    the test images are answered once, for the chosen rung. Ctrl-C ends the climb: the rungs that
    are done are compared. A rung that fails is left out, with its reason.

    Args:
        source: photos with their classes: a folder, a CSV of paths, or files found before.
        backbone: a pretrained network by name, or any classifier with features.
        rungs: which of `RUNGS` to climb.
        budget: minutes for the rungs. Once they are over no rung begins; "head", "blocks" and
            "full" are left out, too, where they are seen not to fit into the rest.
        balanced: whether rare classes count as much as common ones.
        seed: of splits, folds and training.
        audit: look through the files first; bad ones are set aside either way.
        folder: where fine-tuning keeps a checkpoint of each epoch; None keeps none.
        resume: continue fine-tuning from there.
        watch: what is told of each step.

    Raises:
        DatasetError: there are fewer than two classes, or nothing to validate on.
        TrainingError: a rung has no such name, or none fits into the budget.
        ModelError: the backbone gives no features.
    """
    watch = watch or Quiet()
    wanted = _checked(rungs, budget)
    base = pretrained(backbone, fit="squash") if isinstance(backbone, str) else backbone
    check_classifier(base, "climb_ladder")
    with ThreadPoolExecutor(1) as aside:
        aside.submit(load_libraries)  # while files are read
        files, found = prepared(source, watch, seed=seed, audit=audit)
        start = time.perf_counter()
        with watch.progress("embedding") as progress:
            features = embed(base, files, progress=progress)
        seconds = time.perf_counter() - start
    name_set_aside(features.files, watch, after=len(files.set_aside))
    watch.say(
        f"features of {counted(len(features), 'image')} in {seconds:.1f} s, "
        f"{features.cached:,} known before"
    )
    ground = Ground(
        base=base,
        train=features.split("train"),
        val=features.split("val"),
        class_names=_trained(features),
        pixels=_Pixels(features.files, base, watch),
        backbone_seconds=_seconds_per_image(base),
        balanced=balanced,
        seed=seed,
        deadline=time.monotonic() + 60 * budget,
        folder=Path(folder) if folder is not None else None,
        resume=resume,
        verbose=watch.verbose,
    )
    climbed, left_out = _climb_all(wanted, ground, watch)
    # Of two alike the cheaper: the first. Measured seconds would choose otherwise each time.
    best = max(climbed, key=lambda rung: (rung.report.accuracy.value, rung.report.macro_f1.value))
    classifier = _finished(best, ground, features)
    tests = [
        _tested(classifier, best, ground, features, split)
        for split in features.files.split_names
        if split.startswith("test")
    ]
    return Ladder(
        rungs=tuple(climbed),
        left_out=left_out,
        chosen=best,
        classifier=classifier,
        tests=tuple(tests),
        files=features.files,
        audit=found,
        features_seconds=seconds,
        cached=features.cached,
    )


def _checked(rungs: Sequence[str], budget: float) -> list[str]:
    if not rungs:
        raise TrainingError(f"the rungs are {', '.join(RUNGS)}, received none.")
    for name in rungs:
        if name not in RUNGS:
            raise TrainingError(unknown_name("rung", name, RUNGS))
    if not budget > 0:
        raise TrainingError(f"the budget must be more than 0 minutes, received {budget}.")
    return [name for name in RUNGS if name in rungs]


class _Pixels:
    """Reads the images themselves when they are first asked for."""

    def __init__(self, files: ImageFiles, base: Classifier, watch: Watch) -> None:
        self._files = files
        self._base = base
        self._watch = watch
        self._data: ImageData | None = None

    def __call__(self) -> ImageData:
        if self._data is None:
            with self._watch.progress("reading") as progress:
                data = load_images(self._files, self._base.preprocessing, progress=progress)
            gone = data.set_aside[len(self._files.set_aside) :]
            if gone:  # the rungs are compared on the same images
                raise DatasetError(
                    f"{gone[0].path} could be read when it was embedded, and cannot be now: "
                    f"{gone[0].reason.rstrip('.')}; leave the images alone until the end."
                )
            self._data = data
        return self._data


def _trained(features: Features) -> tuple[str, ...]:
    """Return the classes that have a training image, in their order."""
    train = features.split("train").files
    return tuple(train.class_names[label] for label in np.unique(train.labels[train.labels >= 0]))


def _seconds_per_image(base: Classifier) -> float:
    """Return how long the network takes for one image at a time."""
    wanted = base.preprocessing
    shape = (_TIMED, wanted.channels, wanted.height, wanted.width)
    pixels = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
    inputs = wanted.normalise(pixels)
    compute = runtime(base)
    compute.with_features(inputs[:1])  # sets memory up
    times = []
    for image in inputs:
        start = time.perf_counter()
        compute.with_features(image[np.newaxis])
        times.append(time.perf_counter() - start)
    return float(np.median(times))


def _climb_all(
    names: Sequence[str], ground: Ground, watch: Watch
) -> tuple[list[Rung], dict[str, str]]:
    climbed: list[Rung] = []
    left_out: dict[str, str] = {}
    failure: LamplighterError | None = None
    for place, name in enumerate(names):
        try:
            rung = climb(name, ground)
        except ResumeError:
            raise
        except LamplighterError as error:  # what is done is not lost for it
            failure = error
            left_out[name] = str(error).rstrip(".")
            watch.say(f"{name}: left out, {error}")
            continue
        except KeyboardInterrupt:
            if not climbed:
                raise
            left_out |= dict.fromkeys(names[place:], "the climb was stopped before its end")
            watch.say(f"stopped in {name}; the rungs that are done are compared")
            break
        climbed.append(rung)
        watch.say(f"{name}: {rung.report.accuracy} on validation, learned in {rung.seconds:.1f} s")
    if not climbed and not isinstance(failure, BudgetSpentError) and failure is not None:
        raise failure
    if not climbed:
        raise TrainingError(
            f"no rung fits into the budget: {'; '.join(dict.fromkeys(left_out.values()))}; "
            "choose a larger budget, or a cheaper rung such as linear."
        )
    return climbed, left_out


def _finished(best: Rung, ground: Ground, features: Features) -> Classifier:
    """Return the classifier of a rung with its trust, its record and images to prove it on."""
    classifier = best.make()
    if classifier.samples is None:
        few = features.split("train").take(range(min(_SAMPLES, len(ground.train))))
        data = ground.pixels() if best.tuned else load_images(few.files, ground.base.preprocessing)
        classifier.samples = data["train"].images[:_SAMPLES]
    train, val = ground.train.vectors, ground.val.vectors
    if best.tuned:
        train, val = (_own_answers(classifier, ground, split)[1] for split in ("train", "val"))
    classifier.trust = make_trust(
        classifier,
        val_logits=best.logits,
        val_labels=known_labels(ground.val, ground.class_names),
        val_features=val,
        train_features=train,
        train_labels=known_labels(ground.train, ground.class_names),
        seed=ground.seed,
    )
    record = classifier.record
    details = {name: value for name, value in best.details.items() if name != "grid"}
    record.recipe = {"name": "transfer", "rung": best.name, "seed": ground.seed, **details}
    record.data = {
        name: fingerprint_of(features.split(name)) for name in features.files.split_names
    }
    record.scores = {"val": best.report.summary()}
    return classifier


def _own_answers(
    classifier: Classifier, ground: Ground, split: str
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return what a tuned network says of a split, (N, K), and its features, (N, D)."""
    wanted, images = classifier.preprocessing, ground.pixels()[split].images
    compute = runtime(classifier)
    parts = [
        compute.with_features(wanted.normalise(images[start : start + _BATCH]))
        for start in range(0, len(images), _BATCH)
    ]
    logits, vectors = zip(*parts, strict=True)
    return np.concatenate(logits), np.concatenate(vectors)


def _tested(
    classifier: Classifier, best: Rung, ground: Ground, features: Features, split: str
) -> Report:
    """Return the report on a test split, which nothing was chosen by."""
    test = features.split(split)
    if best.answer is None:
        logits, vectors = _own_answers(classifier, ground, split)
        test = replace(test, vectors=vectors)
    else:
        logits = best.answer(test.vectors)
    report = report_on(test, split, logits, ground.class_names, trust=classifier.trust)
    classifier.record.scores[split] = report.summary()
    return report
