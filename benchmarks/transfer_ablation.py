"""What heads on features gain by what, and what the transfer ladder does against an older checkout.

python benchmarks/transfer_ablation.py FOLDER --against CHECKOUT [--group REGEX]

The ablation is cross-validated on the training and validation images of three data sets: the folder
(each group of names that REGEX finds in file names is a fold, such as a day), the emoji, and 2,000
digits. Test images are read by the ladder alone, once for each seed and side.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import subprocess
import sys
import tempfile
import warnings
from dataclasses import replace
from pathlib import Path

import numpy as np

from measuring import record, table

SEEDS = (7, 1, 2)
DIGITS = 2000
DAYS = r"^\d{8}"
NORMALISATIONS = ("as they are", "length 1", "square root, length 1", "standardised")
COST, GAMMA, PENALTY, SHRINKAGE = 10.0, 1 / 4, 10.0, 0.3


def prepared(how: str, learned: np.ndarray, asked: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return vectors normalised, centred, and of a mean squared length of 1."""
    parts = [learned.astype(float), asked.astype(float)]
    if "square root" in how:
        parts = [np.sign(part) * np.sqrt(np.abs(part)) for part in parts]
    if "length 1" in how:
        parts = [part / np.linalg.norm(part, axis=1, keepdims=True) for part in parts]
    if how == "standardised":
        spread = parts[0].std(axis=0)
        parts = [part / np.where(spread > 0, spread, 1) for part in parts]
    centre = parts[0].mean(axis=0)
    parts = [part - centre for part in parts]
    scale = np.sqrt(np.square(parts[0]).sum(axis=1).mean())
    return parts[0] / scale, parts[1] / scale


def kernel(ours: np.ndarray, theirs: np.ndarray) -> np.ndarray:
    """Return the RBF kernel (N, M)."""
    squares = np.square(ours).sum(1)[:, None] + np.square(theirs).sum(1) - 2 * ours @ theirs.T
    return np.exp(-GAMMA * np.maximum(squares, 0))


def weights_of(labels: np.ndarray) -> np.ndarray:
    """Return a weight for each image, by which rare classes count as much as common ones."""
    _, places, counts = np.unique(labels, return_inverse=True, return_counts=True)
    return (len(labels) / len(counts) / counts)[places]


def decisions(head: str, learned: np.ndarray, labels: np.ndarray, asked: np.ndarray) -> np.ndarray:
    """Return a score for each class that is in `labels`, shape (n, P)."""
    from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
    from sklearn.linear_model import LogisticRegression
    from sklearn.svm import SVC

    if head == "logistic regression":
        model = LogisticRegression(C=PENALTY, class_weight="balanced", max_iter=300, tol=1e-4)
        ours, theirs = turned(learned, asked)
        return model.fit(ours, labels).decision_function(theirs)
    if head == "discriminants":
        count = len(np.unique(labels))
        model = LinearDiscriminantAnalysis(
            "lsqr", shrinkage=SHRINKAGE, priors=np.full(count, 1 / count)
        )
        ours, theirs = turned(learned, asked)
        return model.fit(ours, labels).decision_function(theirs)
    own, other = kernel(learned, learned), kernel(asked, learned)
    if head == "SVM, votes of pairs":
        machine = SVC(C=COST, kernel="precomputed", class_weight="balanced", break_ties=True)
        return machine.fit(own, labels).decision_function(other)
    weights = weights_of(labels)
    return np.stack(
        [
            SVC(C=COST, kernel="precomputed")
            .fit(own, labels == label, sample_weight=weights)
            .decision_function(other)
            for label in np.unique(labels)
        ],
        axis=1,
    )


def turned(learned: np.ndarray, asked: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return vectors in the dimensions that those to learn from span: the same answers, sooner."""
    values, axes = np.linalg.eigh(learned @ learned.T)
    kept = values > 1e-9 * values[-1]
    turn = learned.T @ (axes[:, kept] / np.sqrt(values[kept]))
    return learned @ turn, asked @ turn


HEADS = ("SVM, votes of pairs", "SVM, one against the rest", "logistic regression", "discriminants")


def measured(head: str, how: str, vectors: np.ndarray, labels: np.ndarray, folds: list) -> str:
    """Return accuracy, macro-F1 and the log-loss at the best temperature, cross-validated."""
    from sklearn.metrics import f1_score

    from lamplighter.evaluation.calibration import fit_temperature, softmax

    answers, losses, true = [], [], np.concatenate([labels[test] for _, test in folds])
    for train, test in folds:
        ours, theirs = prepared(how, vectors[train], vectors[test])
        classes = np.unique(labels[train])
        scores = decisions(head, ours, labels[train], theirs)
        answers.append(classes[scores.argmax(axis=1)])
        known = np.isin(labels[test], classes)
        places = np.searchsorted(classes, labels[test][known])
        scores = 10 * scores[known] / np.abs(scores).mean()
        shares = softmax(scores, fit_temperature(scores, places))
        losses.append(-np.log(shares[np.arange(len(places)), places]))
    said = np.concatenate(answers)
    return (
        f"{100 * (said == true).mean():.1f} / {100 * f1_score(true, said, average='macro'):.1f} / "
        f"{np.concatenate(losses).mean():.3f}"
    )


def data_sets(
    folder: Path, group: str, root: Path
) -> list[tuple[str, np.ndarray, np.ndarray, list]]:
    """Return name, vectors, labels and folds of each data set, test images left out."""
    from PIL import Image
    from sklearn.model_selection import StratifiedKFold

    from lamplighter import embed, find_files, pretrained
    from lamplighter.datasets.emoji import emoji_files
    from lamplighter.datasets.mnist import load_mnist
    from lamplighter.datasets.splitting import assign_splits

    pixels, classes = load_mnist()["train"]
    for row in np.random.default_rng(0).permutation(len(pixels))[:DIGITS]:
        place = root / "digits" / str(classes[row])
        place.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels[row].squeeze()).save(place / f"{row}.png")
    emoji = root / "emoji"
    emoji_files(emoji)
    base, found = pretrained(fit="squash"), []
    for place in (folder, emoji, root / "digits"):
        files = assign_splits(find_files(place), seed=7)
        features = embed(base, files)
        kept = features.take([i for i, s in enumerate(files.splits) if s in ("train", "val")])
        labels = kept.files.labels
        matches = [re.search(group, Path(path).name) for path in kept.files.paths]
        if place == folder and all(matches):
            days = np.array([match[0] for match in matches])
            folds = [(np.flatnonzero(days != d), np.flatnonzero(days == d)) for d in set(days)]
        else:
            folds = list(StratifiedKFold(5, shuffle=True, random_state=0).split(labels, labels))
        found.append((f"{place.name} ({len(labels)})", kept.vectors, labels, folds))
    return found


def ablation(folder: Path, group: str) -> str:
    """Return the table of heads and normalisations."""
    warnings.simplefilter("ignore")
    with tempfile.TemporaryDirectory() as root:
        sets = data_sets(folder, group, Path(root))
    rows = [
        [head, how, *(measured(head, how, *rest) for _, *rest in sets)]
        for head in HEADS
        for how in NORMALISATIONS
    ]
    return table(["head", "features", *(name for name, *_ in sets)], rows)


def climbed(folder: Path, seed: int, group: str, refit: str) -> dict:
    """Return what one climb of the cheap rungs says, on the test split and on each day."""
    import time

    from lamplighter import climb_ladder, find_files

    options = {} if refit == "unasked" else {"refit": refit == "yes"}
    options |= {"rungs": ["knn", "svm", "linear"], "seed": seed}
    whole = find_files(folder)
    days = [re.search(group, Path(path).name) for path in whole.paths]
    names = sorted({day[0] for day in days}) if all(days) else []
    found = {}
    for name in ("", *names):
        files = whole
        if name:
            splits = tuple("test" if day[0] == name else "" for day in days)
            files = replace(whole, splits=splits)
        start = time.perf_counter()
        ladder = climb_ladder(files, **options, audit=False)
        seconds = time.perf_counter() - start
        report, calibration = ladder.tests[0], ladder.classifier.trust.measured["calibration"]
        found[name] = {
            "rung": ladder.chosen.name,
            "validation": ladder.chosen.report.accuracy.to_dict(),
            "right": report.right.tolist(),
            "known": report.predictions.known.tolist(),
            "error": calibration["after"]["error"]["value"],
            "temperature": ladder.classifier.trust.temperature,
            "seconds": seconds,
        }
    return found


def from_side(source: Path, folder: Path, seed: int, group: str, refit: str) -> dict:
    """Return what `climbed` gives with the package in a checkout."""
    done = subprocess.run(
        [sys.executable, __file__, str(folder), "--climb", str(seed), refit, "--group", group],
        check=True,
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": str(source / "src")},
    )
    return json.loads(done.stdout.splitlines()[-1])


def share(values: list) -> str:
    """Return the share of what is true, in per cent."""
    return f"{100 * np.mean(values):.1f}"


def against(folder: Path, checkout: Path, group: str) -> str:
    """Return how the ladder does against that of an older checkout, on the same test images."""
    from lamplighter.evaluation.intervals import mcnemar

    here = Path(__file__).resolve().parents[1]
    kinds = {"older": (checkout, "unasked"), "held out": (here, "no"), "refitted": (here, "yes")}
    rows, pooled = [], {}
    for seed in SEEDS:
        sides = {
            name: from_side(source, folder, seed, group, refit)
            for name, (source, refit) in kinds.items()
        }
        for part in ("the folder's test split", "each day in turn"):
            days = [day for day in sides["older"] if bool(day) == part.startswith("each")]
            if not days:
                continue
            right = {
                name: np.array([one for day in days for one in side[day]["right"]])
                for name, side in sides.items()
            }
            for name, side in sides.items():
                pooled.setdefault((part, name), []).append(right[name])
                test = mcnemar(right["older"], right[name])
                rungs = ", ".join(sorted({side[day]["rung"] for day in days}))
                known = [one for day in days for one in side[day]["known"]]
                rows.append(
                    [
                        part,
                        seed,
                        f"{name}: {rungs}",
                        f"{100 * np.mean([side[day]['validation']['value'] for day in days]):.1f}",
                        share(right[name]),
                        "" if name == "older" else f"{test.p_value:.3g}",
                        share(known),
                        f"{np.mean([side[day]['seconds'] for day in days]):.1f}",
                    ]
                )
    for (part, name), found in pooled.items():
        if name == "older":
            continue
        test = mcnemar(np.concatenate(pooled[part, "older"]), np.concatenate(found))
        gained = share(np.concatenate(found)), share(np.concatenate(pooled[part, "older"]))
        rows.append([part, "all", name, "", f"{gained[0]} ({gained[1]} older)",
                     f"{test.p_value:.2g}", "", ""])  # fmt: skip
    return table(
        ["test images", "seed", "side: rungs", "validation, %", "test, %", "McNemar's p",
         "called known, %", "climb, s"],
        rows,
    )  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--against", type=Path, help="a checkout of an older version")
    parser.add_argument("--group", default=DAYS, help="what in a file's name says its day")
    parser.add_argument("--climb", nargs=2, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.climb:
        seed, refit = arguments.climb
        print(json.dumps(climbed(arguments.folder, int(seed), arguments.group, refit)))
        return
    text = (
        f"Cross-validated on training and validation images: accuracy, % / macro-F1, % / log-loss "
        f"at the best temperature. C = {COST:g}, gamma = {GAMMA:g} for features of a mean squared "
        f"length of 1; C = {PENALTY:g} of the regression; shrinkage {SHRINKAGE:g}. The folds of "
        f"the folder are its days.\n\n{ablation(arguments.folder, arguments.group)}"
    )
    if arguments.against:
        text += (
            "\n\nThe cheap rungs against an older checkout. Seeds change what the search chooses "
            "and, where each day is held out in turn, which images validate; their test images "
            "are the same ones, so that the p of all seeds together is no proof of its own.\n\n"
            + against(arguments.folder, arguments.against, arguments.group)
        )
    record("transfer_ablation.py", "Heads on features, and learning again", text)


if __name__ == "__main__":
    main()
