"""What the rungs of the transfer ladder cost and gained, side by side."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from lamplighter.evaluation.intervals import mcnemar
from lamplighter.text import align

if TYPE_CHECKING:
    from lamplighter.audit.audit import Audit
    from lamplighter.datasets.files import ImageFiles
    from lamplighter.evaluation.report import Report
    from lamplighter.models.classifier import Classifier
    from lamplighter.transfer.rungs import Rung

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
        return f"{align(rows)}\n{tuned}: one image as the backbone takes, which has the same layers"

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
            words.append(f"{best.report.count:,} images do not tell it apart from {names}.")
            quickest = min((rung for rung, _ in alike), key=lambda rung: rung.seconds)
            if quickest.seconds <= best.seconds / 2:
                faster = best.seconds / max(quickest.seconds, 1e-3)
                words.append(f"{quickest.name} learns {faster:.0f} times faster.")
        if self.refitted is not None:
            words.append(
                f"It was refitted on train + validation ({self.refitted:,} images) for the bundle; "
                "the scores on validation are of before."
            )
        elif self.not_refitted:
            words.append(f"It was not refitted on train + validation: {self.not_refitted}.")
        for name, reason in self.left_out.items():
            words.append(f"{name} was left out: {reason}.")
        return " ".join(words)

    def to_dict(self) -> dict[str, Any]:
        """Return all of it as plain JSON types."""
        return {
            "features": {"seconds": self.features_seconds, "cached": self.cached},
            "rungs": [
                {
                    "name": rung.name,
                    "summary": rung.summary,
                    "validation": rung.report.to_dict(),
                    "training_seconds": rung.seconds,
                    "seconds_per_image": rung.per_image,
                    "details": rung.details,
                }
                for rung in self.rungs
            ],
            "left_out": self.left_out,
            "chosen": self.chosen.name,
            "refitted": self.refitted,
            "not_refitted": self.not_refitted,
            "recommendation": self.recommendation(),
            "tests": [report.to_dict() for report in self.tests],
            "trust": self.classifier.trust.measured if self.classifier.trust else None,
            "audit": self.audit.to_dict() if self.audit is not None else None,
        }
