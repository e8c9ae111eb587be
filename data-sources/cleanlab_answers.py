"""Write tests/features/clinic/cleanlab.npz: what cleanlab 2.9.0 answers to fixed probabilities.

Needs `pip install cleanlab==2.9.0`, which brings pandas: too much for the environment of the tests.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from cleanlab.count import compute_confident_joint
from cleanlab.filter import find_label_issues
from cleanlab.rank import get_label_quality_scores

TARGET = Path(__file__).parents[1] / "tests" / "features" / "clinic"
# Images of each class, and how much the model knows.
CASES = {
    "two": ([60, 60], 1.2),
    "uneven": ([70, 40, 20, 8, 3], 1.5),
    "many": ([6] * 30, 2.0),
    "sure": ([40, 40, 40], 4.0),
}


def main() -> None:
    rng = np.random.default_rng(2021)
    arrays: dict[str, np.ndarray] = {}
    for name, (counts, knowledge) in CASES.items():
        classes = len(counts)
        true = np.repeat(np.arange(classes), counts)
        scores = rng.normal(size=(len(true), classes))
        scores[np.arange(len(true)), true] += knowledge
        shares = np.exp(scores) / np.exp(scores).sum(1, keepdims=True)
        labels = np.where(rng.random(len(true)) < 0.1, rng.integers(0, classes, len(true)), true)
        labels[np.cumsum(counts) - 1] = np.arange(classes)  # cleanlab needs one of each class
        arrays |= {f"{name}-probabilities": shares, f"{name}-labels": labels}
        arrays[f"{name}-joint"] = compute_confident_joint(labels, shares, calibrate=False)
        arrays[f"{name}-confident"] = find_label_issues(
            labels, shares, filter_by="confident_learning", n_jobs=1
        )
        arrays[f"{name}-by-class"] = find_label_issues(
            labels, shares, filter_by="prune_by_class", min_examples_per_class=0, n_jobs=1
        )
        for method in ("self_confidence", "normalized_margin"):
            arrays[f"{name}-{method}"] = get_label_quality_scores(labels, shares, method=method)
    np.savez_compressed(TARGET / "cleanlab.npz", **arrays)


if __name__ == "__main__":
    main()
