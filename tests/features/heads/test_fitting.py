"""Heads learn what scikit-learn's models learn, and search as its cross-validation does."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import f1_score
from sklearn.model_selection import StratifiedKFold
from sklearn.neighbors import KNeighborsClassifier
from sklearn.svm import SVC
from sklearn.utils.class_weight import compute_sample_weight

from lamplighter.errors import DatasetError, ModelError, ParityError
from lamplighter.evaluation.calibration import softmax
from lamplighter.features.heads import linear, model_selection, svm
from lamplighter.features.heads.fitting import HEADS, FittedHead, fit_again, fit_head
from lamplighter.inference.runtime import head_logits
from lamplighter.models.heads import build_head
from lamplighter.saving.head_graphs import standalone_graph


def clouds(classes=4, count=30, features=40, seed=0):
    """Return vectors that overlap, far from 0 and in no order, and their classes."""
    rng = np.random.default_rng(seed)
    labels = rng.permutation(np.repeat(np.arange(classes), count))
    vectors = (
        5 + 3 * rng.normal(size=(len(labels), features)) + 5 * np.eye(classes, features)[labels]
    )
    return vectors.astype(np.float32), labels


def answers(fitted, vectors):
    logits = fitted.head.logits(vectors)
    with torch.inference_mode():  # the torch module that a bundle is built to says the same
        module = fitted.head.to_torch()(torch.from_numpy(vectors)).numpy()
    np.testing.assert_allclose(module, logits, atol=2e-3, rtol=1e-4)
    np.testing.assert_allclose(
        head_logits(standalone_graph(fitted.head), vectors), logits, atol=2e-3, rtol=1e-4
    )
    return logits


def unit(vectors):
    return vectors / np.linalg.norm(vectors.astype(float), axis=1, keepdims=True)


def prepared(vectors, learned_from):
    """Centre, and make the mean squared length 1, as a head's documentation says."""
    centred = vectors.astype(float) - learned_from.mean(0, dtype=float)
    own = learned_from.astype(float) - learned_from.mean(0, dtype=float)
    return centred / np.sqrt((own**2).sum(1).mean())


class OneAgainstTheRest:
    """scikit-learn's SVC for each class, a vector counting as much as its class is rare."""

    def __init__(self, row, balanced):
        self._arguments = {"C": row["C"], "gamma": row["gamma"]}
        self._balanced = balanced

    def fit(self, vectors, labels):
        self.classes_ = np.unique(labels)
        weights = compute_sample_weight("balanced", labels) if self._balanced else None
        self._machines = [
            SVC(**self._arguments).fit(vectors, labels == label, sample_weight=weights)
            for label in self.classes_
        ]
        return self

    def decision_function(self, vectors):
        return np.stack([one.decision_function(vectors) for one in self._machines], axis=1)

    def predict(self, vectors):
        return self.classes_[self.decision_function(vectors).argmax(1)]


def learner(kind, row, balanced, labels):
    """Return scikit-learn's model with these parameters."""
    if kind == "svm":
        return OneAgainstTheRest(row, balanced)
    if row["method"] == "logistic":
        weight = "balanced" if balanced else None
        return LogisticRegression(C=row["C"], class_weight=weight, tol=1e-7, max_iter=5000)
    count = len(np.unique(labels))
    priors = np.full(count, 1 / count) if balanced else None
    return LinearDiscriminantAnalysis("lsqr", shrinkage=row["shrinkage"], priors=priors)


def as_learned(kind, vectors, learned_from):
    """Return vectors as a head prepares them."""
    if kind == "svm":
        return prepared(unit(vectors), unit(learned_from))
    return prepared(vectors, learned_from)


def oracle(fitted, vectors, labels):
    """Return a model of scikit-learn with the parameters of `fitted`, and how it is asked."""
    chosen = fitted.chosen["parameters"]
    if fitted.kind == "knn":
        return knn_oracle(chosen, vectors, labels)
    model = learner(fitted.kind, chosen, fitted.chosen["balanced"], labels)
    model.fit(as_learned(fitted.kind, vectors, vectors), labels)
    return lambda asked: model.predict(as_learned(fitted.kind, asked, vectors))


def knn_oracle(chosen, vectors, labels):
    def unit(given):
        centred = given.astype(float) - vectors.mean(0, dtype=float)
        return centred / np.linalg.norm(centred, axis=1, keepdims=True)

    def fade(distances):
        return np.exp(-(distances**2) / 2 / 0.07)

    model = KNeighborsClassifier(
        chosen["neighbours"], weights=fade if chosen["weights"] == "distance" else "uniform"
    ).fit(unit(vectors), labels)
    counts = np.bincount(labels)[model.classes_].astype(float)
    raised = counts ** -chosen["balancing"]
    return lambda asked: model.classes_[(model.predict_proba(unit(asked)) * raised).argmax(1)]


@pytest.mark.parametrize("balanced", [True, False])
@pytest.mark.parametrize("kind", HEADS)
def test_a_head_predicts_as_scikit_learn(kind: str, balanced: bool) -> None:
    vectors, labels = clouds()
    rare = np.concatenate([np.flatnonzero(labels != 3), np.flatnonzero(labels == 3)[:5]])
    vectors, labels = vectors[rare], labels[rare]
    asked = clouds(count=100, seed=1)[0]
    fitted = fit_head(kind, vectors, labels, 4, balanced=balanced)
    predicted = answers(fitted, asked).argmax(1)
    expected = oracle(fitted, vectors, labels)(asked)
    # Logistic regression is an iteration that ends when it is near enough.
    assert (predicted == expected).mean() >= (0.99 if kind == "linear" else 1)
    assert len(np.unique(expected)) > 2


@pytest.mark.parametrize("kind", HEADS)
@pytest.mark.parametrize("classes", [(0, 1), (1, 3, 4)])
def test_two_classes_and_classes_without_vectors(kind: str, classes: tuple[int, ...]) -> None:
    vectors, labels = clouds(len(classes))
    labels = np.array(classes)[labels]
    fitted = fit_head(kind, vectors, labels, 6)
    asked = clouds(3, 100, seed=1)[0]
    logits = answers(fitted, asked)
    assert logits.shape == (300, 6)
    assert np.isfinite(logits).all()
    assert set(logits.argmax(1)) == set(classes)
    assert (logits.argmax(1) == oracle(fitted, vectors, labels)(asked)).mean() >= 0.99
    absent = [index for index in range(6) if index not in classes]
    assert (logits[:, absent].max(1) < logits.max(1)).all()


@pytest.mark.parametrize("kind", ["svm", "linear"])
def test_the_search_is_scikit_learns_cross_validation(kind: str) -> None:
    vectors, labels = clouds(3, 20)
    fitted = fit_head(kind, vectors, labels, 3, seed=7)
    folds = list(StratifiedKFold(3, shuffle=True, random_state=7).split(vectors, labels))
    inputs = as_learned(kind, vectors, vectors)
    for row in fitted.chosen["grid"]:
        predicted = np.empty(60, dtype=int)
        for train, test in folds:
            model = learner(kind, row, True, labels).fit(inputs[train], labels[train])
            predicted[test] = model.predict(inputs[test])
        scores = [f1_score(labels[test], predicted[test], average="macro") for _, test in folds]
        near = 1e-4 if kind == "svm" else 0.02  # its iterations end when near enough
        assert row["macro_f1"] == pytest.approx(np.mean(scores), abs=near)
        assert row["spread"] == pytest.approx(np.std(scores), abs=near)
    best = max(row["macro_f1"] for row in fitted.chosen["grid"])
    assert fitted.chosen["macro_f1"] == best
    first = next(row for row in fitted.chosen["grid"] if row["macro_f1"] == best)
    assert (
        fitted.chosen["parameters"].items()
        >= {name: first[name] for name in first if name not in ("macro_f1", "spread")}.items()
    )
    assert (fitted.chosen["folds"], fitted.chosen["vectors"]) == (3, 60)


@pytest.mark.parametrize("kind", HEADS)
def test_what_is_told_is_json_and_the_same_each_time(kind: str) -> None:
    vectors, labels = clouds(count=12)
    first, second = (fit_head(kind, vectors, labels, 4, seed=3) for _ in range(2))
    assert json.loads(json.dumps(first.chosen, allow_nan=False)) == first.chosen == second.chosen
    arguments = dict(first.head.arguments)
    assert json.loads(json.dumps(arguments)) == arguments
    assert (answers(first, vectors) == answers(second, vectors)).all()
    assert first.seconds > 0
    assert not first.head.to_torch().training
    anew = build_head(kind, 40, 4, **arguments)
    anew.load_state_dict(first.head.to_torch().state_dict())
    again = anew(torch.from_numpy(vectors)).detach().numpy()
    np.testing.assert_allclose(again, answers(first, vectors), atol=2e-3, rtol=1e-4)


@pytest.mark.parametrize("kind", HEADS)
def test_rare_classes(kind: str) -> None:
    vectors, labels = clouds(5, 12)
    kept = [row for row in range(60) if labels[row] < 3]
    kept += list(np.flatnonzero(labels == 3)[:1]) + list(np.flatnonzero(labels == 4)[:2])
    fitted = fit_head(kind, vectors[kept], labels[kept], 5)
    assert fitted.chosen["folds"] == 3
    if kind != "knn":  # whose many common neighbours may outvote the one
        assert answers(fitted, vectors[kept]).argmax(1)[-3] == 3
    alone = [int(np.flatnonzero(labels == label)[0]) for label in range(5)]
    fitted = fit_head(kind, vectors[alone], labels[alone], 5)  # one of each: nothing to try
    assert (fitted.chosen["folds"], fitted.chosen["macro_f1"]) == (0, None)
    assert (answers(fitted, vectors[alone]).argmax(1) == labels[alone]).all()


@pytest.mark.parametrize("kind", HEADS)
def test_features_that_do_not_vary_break_nothing(kind: str) -> None:
    vectors, labels = np.ones((12, 5), dtype=np.float32), np.arange(12) % 3
    fitted = fit_head(kind, vectors, labels, 3)
    assert np.isfinite(answers(fitted, vectors)).all()


def test_groups_stay_together() -> None:
    vectors, labels = clouds(4, 10)
    rng = np.random.default_rng(0)
    copies = np.concatenate([vectors] * 3) + rng.normal(0, 0.01, (120, 40)).astype(np.float32)
    labels = np.concatenate([labels] * 3)
    names = [f"boat {row % 40}" for row in range(120)]
    grouped = fit_head("knn", copies, labels, 4, groups=names)
    alone = fit_head("knn", copies, labels, 4, groups=[""] * 120)
    # Where a copy of an image is in the other folds, the nearest one is always right.
    assert alone.chosen["grid"][0]["macro_f1"] > 0.9
    assert grouped.chosen["grid"][0]["macro_f1"] < 0.7
    assert (grouped.chosen["grouped"], alone.chosen["grouped"]) == (True, False)
    for kind in HEADS:
        one = fit_head(kind, copies, labels, 4, groups=["one"] * 120)
        assert one.chosen["folds"] == 0
        # A class that is one group is missing from the training of one fold.
        by_class = fit_head(kind, copies, labels, 4, groups=[f"g{label}" for label in labels])
        assert by_class.chosen["macro_f1"] == 0
    samples = model_selection.Samples(copies, labels, 4, np.arange(120) % 40)
    folds = model_selection.Search(samples, seed=0).folds
    for fold in folds:
        assert not set(fold.train % 40) & set(fold.test % 40)
    assert sorted(np.concatenate([fold.test for fold in folds])) == list(range(120))


@pytest.mark.parametrize("kind", HEADS)
def test_of_many_vectors_some_are_searched_with(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(model_selection, "MOST", 60)
    vectors, labels = clouds(4, 30)
    fitted = fit_head(kind, vectors, labels, 4)
    assert fitted.chosen["vectors"] == 60
    asked = clouds(count=50, seed=1)[0]
    expected = oracle(fitted, vectors, labels)(asked)
    assert (answers(fitted, asked).argmax(1) == expected).mean() >= 0.99


def test_of_very_many_vectors_a_machine_learns_from_some(monkeypatch: pytest.MonkeyPatch) -> None:
    """Their kernel would not fit into memory."""
    monkeypatch.setattr(svm, "MOST", 60)
    vectors, labels = clouds(4, 30)
    fitted = fit_head("svm", vectors, labels, 4)
    assert fitted.head.arguments["num_vectors"] <= 60
    asked, true = clouds(4, 50, seed=1)
    assert (answers(fitted, asked).argmax(1) == true).mean() > 0.5  # chance is a quarter


@pytest.mark.parametrize("kind", HEADS)
def test_a_head_learns_again_with_what_was_chosen(kind: str) -> None:
    """As GridSearchCV(refit=True) does: the parameters of the search, all the vectors."""
    vectors, labels = clouds(4, 30)
    first = fit_head(kind, vectors[:80], labels[:80], 4)
    again = fit_again(first, vectors, labels, 5)
    assert again.chosen == first.chosen
    asked = clouds(4, 50, seed=1)[0]
    logits = answers(again, asked)
    assert logits.shape == (200, 5)
    assert (logits[:, 4] < logits.max(1)).all()
    expected = oracle(first, vectors, labels)(asked)
    assert (logits.argmax(1) == expected).mean() >= (1 if kind != "linear" else 0.99)
    bare = FittedHead(first.head, {}, 0.0)
    with pytest.raises(ModelError, match="fit it with fit_head"):
        fit_again(bare, vectors, labels, 4)


def test_the_scale_of_support_vectors_makes_sensible_probabilities() -> None:
    vectors, labels = clouds(5, 40)
    asked, true = clouds(5, 200, seed=1)
    logits = torch.from_numpy(answers(fit_head("svm", vectors, labels, 5), asked))

    def surprise(scale):
        return torch.nn.functional.cross_entropy(logits * scale, torch.from_numpy(true)).item()

    best = min(surprise(scale) for scale in np.geomspace(0.1, 10, 60))
    assert surprise(1) < best + 0.05
    assert surprise(1) < np.log(5)


def test_the_path_of_penalties_is_near_the_end_of_the_iteration() -> None:
    vectors, labels = clouds(4, 30)
    samples = model_selection.Samples(vectors, labels, 4)
    settings = {"method": "logistic", "C": 10.0, "balanced": True, "scale": 1.0}
    head = linear.learn(samples, settings)
    model = LogisticRegression(C=10.0, class_weight="balanced", tol=1e-8, max_iter=9999).fit(
        prepared(vectors, vectors), labels
    )
    expected = model.predict_proba(prepared(vectors, vectors))
    probabilities = softmax(head.logits(vectors))
    np.testing.assert_allclose(probabilities, expected, atol=0.01)
    wide = linear._Turned(clouds(2, 10, 64)[0])
    assert wide.vectors.shape[1] == 19  # 20 centred vectors span 19 dimensions


@pytest.mark.parametrize("kind", HEADS)
def test_a_graph_is_proven_on_what_its_head_was_learned_with(
    kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    vectors, labels = clouds(3, 20)
    monkeypatch.setattr(model_selection, "head_logits", lambda *given: head_logits(*given)[:, ::-1])
    with pytest.raises(ParityError, match="the library that it was learned with"):
        fit_head(kind, vectors, labels, 3)


def test_what_cannot_be_learned_from() -> None:
    vectors, labels = clouds(2, 5)
    broken = vectors.copy()
    broken[3, 2] = np.nan
    for error, message, arguments in [
        (ModelError, "no head 'tree'; there are knn, svm, linear", ("tree", vectors, labels, 2)),
        (ModelError, "finite features, received NaN", ("knn", broken, labels, 2)),
        (
            DatasetError,
            r"shape \(10, 40\) and labels of shape \(9,\)",
            ("knn", vectors, labels[1:], 2),
        ),
        (DatasetError, "two or more classes.*received 1", ("svm", vectors, labels * 0, 2)),
        (DatasetError, "two or more classes.*received 0", ("svm", vectors[:0], labels[:0], 2)),
        (
            DatasetError,
            r"labels must be in 0\.\.1, received 1\.\.2",
            ("svm", vectors, labels + 1, 2),
        ),
        (DatasetError, "labels must be integers", ("svm", vectors, labels / 2, 2)),
    ]:
        with pytest.raises(error, match=message) as caught:
            fit_head(*arguments)
        assert "\n" not in str(caught.value)
    with pytest.raises(DatasetError, match="received 2 groups for 10 vectors"):
        fit_head("knn", vectors, labels, 2, groups=["a", "b"])
