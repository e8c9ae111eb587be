"""The transfer ladder: one strategy after the other, each with its cost and its score."""

from __future__ import annotations

import contextlib
import importlib.util
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from lamplighter.datasets.image_data import load_images
from lamplighter.errors import (
    DataError,
    DatasetError,
    LamplighterError,
    MissingPackageError,
    ResumeError,
    TrainingError,
)
from lamplighter.evaluation.intervals import mcnemar
from lamplighter.evaluation.reliability import make_trust
from lamplighter.features.extraction import embed
from lamplighter.features.heads.fitting import load_libraries
from lamplighter.features.precision_choice import choose_precision
from lamplighter.inference.runtime import runtime
from lamplighter.installation import install_command
from lamplighter.models import registry
from lamplighter.models.classifier import check_classifier
from lamplighter.names import unknown_name
from lamplighter.saving.bundle import precision_note
from lamplighter.saving.pretrained import pretrained
from lamplighter.saving.quantized import at_precision
from lamplighter.text import align, counted, first_line, listed
from lamplighter.transfer.context import Context, fingerprint_of, known_labels, report_on
from lamplighter.transfer.refitting import Refit
from lamplighter.transfer.refitting import refit as refitted
from lamplighter.transfer.splits import Quiet, Watch, name_set_aside, prepared
from lamplighter.transfer.strategies import (
    NEED_TORCH,
    RUNGS,
    BudgetSpentError,
    Rung,
    climb,
    head_logits,
    own_answers,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lamplighter.auditing.audit import Audit
    from lamplighter.datasets.files import ImageFiles
    from lamplighter.datasets.image_data import ImageData
    from lamplighter.evaluation.report import Report
    from lamplighter.features.extraction import Features
    from lamplighter.features.heads.fitting import FittedHead
    from lamplighter.models.classifier import Classifier, Precision
    from lamplighter.models.reliability import Trust

_SIGNIFICANT = 0.05


@dataclass(frozen=True, eq=False, kw_only=True)
class Ladder:
    """What each rung costs and gains on some photos, and the classifier of the best.

    Attributes:
        rungs: those that were climbed, in their order.
        left_out: rungs that were not, with the reason.
        chosen: the one with the highest accuracy on the validation split.
        refitted: how many training and validation images it then learned from again; None where
            it did not.
        not_refitted: why it did not; "" where it did.
        classifier: that of the chosen rung, calibrated, with its "unknown".
        validation: its report on the validation split from before it learned from that, with the
            temperature of its trust and what that calls unknown.
        tests: its reports on the test splits, each read once; none where there are none.
        files: what it learned from and was measured on, each file in its split.
        audit: what was found in the files before; None where that was not asked for.
        features_seconds: how long all images took to be embedded.
        cached: how many of the feature vectors were known before.
    """

    rungs: tuple[Rung, ...]
    left_out: dict[str, str]
    chosen: Rung
    refitted: int | None
    not_refitted: str
    classifier: Classifier
    validation: Report
    tests: tuple[Report, ...]
    files: ImageFiles
    audit: Audit | None
    features_seconds: float
    cached: int

    def table(self) -> str:
        """Return the rungs as text: scores on validation with 95 % intervals, and costs.

        A line below tells which times for one image are the backbone's, if any is.
        """
        rows = [["rung", "accuracy", "95 % interval", "macro-F1", "95 % interval", "training",
                 "one image"]]  # fmt: skip
        for rung in self.rungs:
            accuracy, f1 = rung.report.accuracy, rung.report.macro_f1
            rows.append(
                [
                    f"{rung.name}{' *' if rung is self.chosen else ''}",
                    f"{100 * accuracy.value:.1f} %",
                    f"{100 * accuracy.low:.1f} to {100 * accuracy.high:.1f}",
                    f"{100 * f1.value:.1f} %",
                    f"{100 * f1.low:.1f} to {100 * f1.high:.1f}",
                    f"{rung.seconds:.1f} s",
                    f"{1000 * rung.per_image:.1f} ms",
                ]
            )
        tuned = " and ".join(rung.name for rung in self.rungs if rung.tuned)
        if not tuned:
            return align(rows)
        return (
            f"{align(rows)}\n{tuned}: the time for one image is that of the backbone, "
            "which has the same layers"
        )

    def recommendation(self) -> str:
        """Return which rung to take and why, in words."""
        best = self.chosen
        words = [
            f"{best.name} ({best.summary}) is the most accurate on the validation images: "
            f"{best.report.accuracy}."
        ]
        alike = [
            (rung, p)
            for rung in self.rungs
            if rung is not best
            and (p := mcnemar(best.report.right, rung.report.right).p_value) > _SIGNIFICANT
        ]
        if alike:
            names = ", ".join(f"{rung.name} (p = {p:.2f})" for rung, p in alike)
            words.append(
                f"On {best.report.count:,} images the difference to {names} is not significant."
            )
            quickest = min((rung for rung, _ in alike), key=lambda rung: rung.seconds)
            if quickest.seconds <= best.seconds / 2:
                faster = best.seconds / max(quickest.seconds, 1e-3)
                words.append(f"{quickest.name} trains {faster:.0f} times faster.")
        if self.refitted is not None:
            words.append(
                "For the bundle it was refitted on train + validation "
                f"({self.refitted:,} images); the validation scores are from before "
                "the refit."
            )
        elif self.not_refitted:
            words.append(f"It was not refitted on train + validation: {self.not_refitted}.")
        for reason in dict.fromkeys(self.left_out.values()):
            left = [name for name, why in self.left_out.items() if why == reason]
            verb = "was" if len(left) == 1 else "were"
            words.append(f"{listed(left)} {verb} left out: {reason}.")
        return " ".join(words)

    def to_dict(self) -> dict[str, Any]:
        """Return all of it as plain JSON types."""
        return {
            "features": {"seconds": self.features_seconds, "cached": self.cached},
            "rungs": [rung.to_dict() for rung in self.rungs],
            "left_out": self.left_out,
            "chosen": self.chosen.name,
            "refitted": self.refitted,
            "not_refitted": self.not_refitted,
            "recommendation": self.recommendation(),
            "tests": [report.to_dict() for report in self.tests],
            "trust": self.classifier.trust.measured if self.classifier.trust else None,
            "audit": self.audit.to_dict() if self.audit is not None else None,
        }


_SAMPLES = 32
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
    refit: bool = True,
    precision: Precision | Literal["auto"] = "fp32",
    watch: Watch | None = None,
) -> Ladder:
    """Climb the ladder of transfer learning on photos: return the cost and the scores of each rung.

    Files are audited, divided into splits where they have none, and embedded once. Each rung is
    trained on the training images and evaluated on the validation images; the best is then
    refitted on both, with the same parameters, and evaluated once on the test images. Ctrl-C ends
    the climb early, and the rungs done so far are compared. A rung that fails is left out, with its
    reason.

    Args:
        source: photos with their classes: a folder, a zip file, a CSV of paths, or files found
            before.
        backbone: a pretrained network by name, or any classifier with features.
        rungs: which of `RUNGS` to climb, and strategies that were registered.
        budget: minutes for the rungs. Once they are over no rung begins; "head", "blocks" and
            "full" are left out, too, where they are seen not to fit into the rest.
        balanced: whether rare classes count as much as common ones.
        seed: of splits, folds and training.
        audit: audit the files first; bad ones are set aside either way.
        folder: where fine-tuning keeps a checkpoint of each epoch; None keeps none.
        resume: continue fine-tuning from there.
        refit: let the chosen rung learn again, from training and validation images. Without it
            the validation images stay held out.
        precision: of the backbone: "fp32", "int8", which is faster on most processors, or "auto":
            int8 if it is measured to be faster here and loses half a point of validation accuracy
            at most. The bundle answers with it as well.
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
        base = _at(precision, base, files, seed, watch)
        start = time.perf_counter()
        with watch.progress("embedding") as progress:
            features = embed(base, files, progress=progress)
        seconds = time.perf_counter() - start
    name_set_aside(features.files, watch, after=len(files.set_aside))
    watch.say(
        f"features of {counted(len(features), 'image')} in {seconds:.1f} s, "
        f"{features.cached:,} from the cache"
    )
    context = Context(
        base=base,
        train=features.split("train"),
        val=features.split("val"),
        both=features.take(
            [row for split in ("train", "val") for row in features.files.rows_of(split)]
        ),
        class_names=features.files.split("train").classes_present(),
        pixels=_Pixels(features.files, base, watch),
        backbone_seconds=_seconds_per_image(base),
        balanced=balanced,
        seed=seed,
        deadline=time.monotonic() + 60 * budget,
        folder=Path(folder) if folder is not None else None,
        resume=resume,
        watch=watch,
    )
    climbed, left_out = _climb_all(wanted, context, watch)
    # Of two with equal scores the first, which costs less; measured seconds vary from run to run.
    best = max(climbed, key=lambda rung: (rung.report.accuracy.value, rung.report.macro_f1.value))
    again, not_again = _refitted(best, context, watch) if refit else (None, "not requested")
    classifier = _finished(best, again, context, features, watch)
    validation = _validated(best, again, classifier, context, watch)
    fitted = again.fitted if again else best.fitted
    tests = []
    for split in (name for name in features.files.split_names if name.startswith("test")):
        try:
            tests.append(_tested(classifier, fitted, context, features, split))
        except LamplighterError as error:  # what was learned is not lost for it
            watch.say(f"not measured on {split}: {error}")
        except KeyboardInterrupt:
            watch.say(f"not measured on {split}: it was interrupted")
            break
    return Ladder(
        rungs=tuple(climbed),
        left_out=left_out,
        chosen=best,
        refitted=again.images if again else None,
        not_refitted=not_again,
        classifier=classifier,
        validation=validation,
        tests=tuple(tests),
        files=features.files,
        audit=found,
        features_seconds=seconds,
        cached=features.cached,
    )


def _at(precision: str, base: Classifier, files: ImageFiles, seed: int, watch: Watch) -> Classifier:
    """Return the backbone at a precision; for "auto" choose, and say why."""
    if precision != "auto":
        return at_precision(base, precision)  # type: ignore[arg-type]  # it is checked there
    with watch.progress("comparing") as progress:
        choice = choose_precision(base, files, seed=seed, progress=progress)
    watch.say(f"precision: {choice.reason}")
    return choice.classifier


def _checked(rungs: Sequence[str], budget: float) -> list[str]:
    rungs = [rungs] if isinstance(rungs, str) else rungs
    if not rungs:
        raise TrainingError(f"the rungs are {', '.join(RUNGS)}, received none.")
    if not set(rungs) <= set(RUNGS):
        known = registry.list_strategies()
        for name in rungs:
            if name not in known:
                raise TrainingError(unknown_name("rung", name, known))
    if not budget > 0:
        raise TrainingError(f"the budget must be more than 0 minutes, received {budget}.")
    own = [name for name in RUNGS if name in rungs]
    return [*own, *(name for name in dict.fromkeys(rungs) if name not in RUNGS)]


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
                    f"{gone[0].path} was readable when it was embedded, and no "
                    f"longer is: {gone[0].reason.rstrip('.')}; do not change the "
                    "images before the end."
                )
            self._data = data
        return self._data


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
    names: Sequence[str], context: Context, watch: Watch
) -> tuple[list[Rung], dict[str, str]]:
    climbed: list[Rung] = []
    left_out, failure = _without_torch(names, watch)
    here = [name for name in names if name not in left_out]
    for place, name in enumerate(here):
        try:
            watch.rung_begun(name, refit=False)
            rung = climb(name, context)
        except ResumeError:
            raise
        except (LamplighterError, OSError, MemoryError, RuntimeError) as error:
            # What is done is not lost for it; torch's own for memory is a RuntimeError.
            failure = (
                error
                if isinstance(error, LamplighterError)
                else TrainingError(f"{name} failed: {_words_of(error)}.")
            )
            left_out[name] = str(failure).rstrip(".")
            watch.say(f"{name}: left out, {failure}")
            continue
        except KeyboardInterrupt:
            if not climbed:
                raise
            left_out |= dict.fromkeys(
                here[place:], "the ladder was interrupted before this rung was done"
            )
            watch.say(f"interrupted in {name}; comparing the rungs that are done")
            break
        climbed.append(rung)
        watch.rung_done(rung)
        watch.say(f"{name}: {rung.report.accuracy} on validation, trained in {rung.seconds:.1f} s")
    if not climbed and not isinstance(failure, BudgetSpentError) and failure is not None:
        raise failure
    if not climbed:
        raise TrainingError(
            "no rung fits into the budget: "
            f"{'; '.join(dict.fromkeys(left_out.values()))}; choose a larger budget, "
            "or a faster rung such as linear."
        )
    return climbed, left_out


def _without_torch(
    names: Sequence[str], watch: Watch
) -> tuple[dict[str, str], LamplighterError | None]:
    """Return the rungs that need torch where it is not installed, with the reason."""
    needing = [name for name in names if name in NEED_TORCH]
    if not needing or importlib.util.find_spec("torch") is not None:
        return {}, None
    failure = MissingPackageError(
        f"{listed(needing)} {'needs' if len(needing) == 1 else 'need'} torch, which is not "
        f"installed; {install_command()}."
    )
    watch.say(f"left out: {failure}")
    return dict.fromkeys(needing, "torch is not installed"), failure


def _refitted(best: Rung, context: Context, watch: Watch) -> tuple[Refit | None, str]:
    """Return the rung after it has learned again, or why it has not: what is done is not lost."""
    try:
        watch.rung_begun(best.name, refit=True)
        again = refitted(best, context)
    except ResumeError:
        raise
    except LamplighterError as error:
        reason = str(error).rstrip(".")
    except (MemoryError, RuntimeError) as error:  # torch's own for memory is the latter
        reason = f"it failed ({_words_of(error)})"
    except KeyboardInterrupt:
        reason = "it was interrupted"
    else:
        new = [name for name in again.class_names if name not in context.class_names]
        watch.say(
            f"{best.name}: refitted on all {again.images:,} training and validation "
            f"images in {again.seconds:.1f} s"
            + (f"; with {listed(new)}, which only validation has" if new else "")
        )
        return again, ""
    watch.say(f"{best.name}: not refitted on training and validation images: {reason}")
    return None, reason


def _words_of(error: Exception) -> str:
    if isinstance(error, MemoryError) and not str(error):
        return "there is not enough memory"
    return first_line(error).rstrip(".")


def _finished(
    best: Rung, again: Refit | None, context: Context, features: Features, watch: Watch
) -> Classifier:
    """Return the classifier of a rung with its trust, its record and images to prove it on.

    What of these cannot be had is said, and left out.
    """
    classifier = best.make() if again is None else again.classifier
    if classifier.samples is None:
        few = features.split("train").take(range(min(_SAMPLES, len(context.train))))
        with contextlib.suppress(DataError):  # images that are gone: a graph can do without
            data = (
                context.pixels()
                if best.tuned
                else load_images(few.files, context.base.preprocessing)
            )
            classifier.samples = data["train"].images[:_SAMPLES]
    try:
        if again is None:
            classifier.trust = _trust_before(classifier, best, context)
        else:
            classifier.trust = _trust_after(classifier, best, again, context)
    except LamplighterError as error:
        watch.say(f"not calibrated, and no image will be called unknown: {error}")
    except KeyboardInterrupt:
        watch.say("not calibrated, and no image will be called unknown: it was interrupted")
    record = classifier.record
    details = {name: value for name, value in best.details.items() if name != "grid"}
    record.recipe = {"name": "transfer", "rung": best.name, "seed": context.seed, **details}
    record.recipe |= precision_note(classifier)
    record.data = {
        name: fingerprint_of(features.split(name)) for name in features.files.split_names
    }
    record.scores = {"val": best.report.summary()}
    if again is not None:
        record.recipe["refitted"] = {"splits": ["train", "val"], "images": again.images}
        record.scores["val"]["before_refit"] = True
    return classifier


def _trust_before(classifier: Classifier, best: Rung, context: Context) -> Trust:
    """Return the trust measured on the validation images, which are held out."""
    train, val = context.train.vectors, context.val.vectors
    if best.tuned:
        train, val = (own_answers(classifier, context, split)[1] for split in ("train", "val"))
    return make_trust(
        classifier,
        val_logits=best.logits,
        val_labels=known_labels(context.val, context.class_names),
        val_features=val,
        train_features=train,
        train_labels=known_labels(context.train, context.class_names),
        seed=context.seed,
    )


def _trust_after(classifier: Classifier, best: Rung, again: Refit, context: Context) -> Trust:
    """Return the trust measured on what was said of images before they were learned from."""
    vectors = context.both.vectors
    if best.tuned:
        parts = [own_answers(classifier, context, split)[1] for split in ("train", "val")]
        vectors = np.concatenate(parts)
    trust = make_trust(
        classifier,
        val_logits=again.held_out.logits,
        val_labels=again.held_out.labels,
        val_distances=again.held_out.distances,
        train_features=vectors,
        train_labels=known_labels(context.both, again.class_names),
        seed=context.seed,
    )
    trust.measured["source"] = again.held_out.source
    return trust


def _validated(
    best: Rung, again: Refit | None, classifier: Classifier, context: Context, watch: Watch
) -> Report:
    """Return what the rung said of the validation images, with the trust that was measured."""
    val, trust = context.val, classifier.trust
    try:
        if again is not None:
            held_out = again.held_out  # in which the validation images come first
            return report_on(
                val,
                "val",
                held_out.logits[: len(val)],
                again.class_names,
                trust=trust,
                distances=held_out.distances[: len(val)],
            )
        if best.tuned and trust is not None:
            val = replace(val, vectors=own_answers(classifier, context, "val")[1])
        return report_on(val, "val", best.logits, context.class_names, trust=trust)
    except (LamplighterError, KeyboardInterrupt) as error:  # what was learned is not lost for it
        reason = str(error) or "it was interrupted"
        watch.say(f"what is unknown among the validation images is not known: {reason}")
        return best.report


def _tested(
    classifier: Classifier,
    fitted: FittedHead | None,
    context: Context,
    features: Features,
    split: str,
) -> Report:
    """Return the report on a test split, which nothing was chosen by."""
    test = features.split(split)
    if fitted is None:
        logits, vectors = own_answers(classifier, context, split)
        test = replace(test, vectors=vectors)
    else:
        logits = head_logits(fitted, test.vectors)
    report = report_on(test, split, logits, classifier.class_names, trust=classifier.trust)
    classifier.record.scores[split] = report.summary()
    return report
