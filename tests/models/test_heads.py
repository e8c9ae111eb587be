"""Heads compute what scikit-learn's models and plain loops say, in torch and in ONNX alike."""

from __future__ import annotations

import json
import logging
import math

import numpy as np
import onnxruntime
import pytest
import torch
from sklearn.multiclass import OneVsRestClassifier
from sklearn.neighbors import KNeighborsClassifier
from sklearn.svm import SVC
from torch import nn

from lamplighter.errors import ModelError
from lamplighter.models.heads import KNNHead, LinearHead, SVMHead, build_head


def clouds(classes, count=30, features=8, seed=0):
    """Return vectors that overlap, in no order, and their classes."""
    rng = np.random.default_rng(seed)
    labels = rng.permutation(np.repeat(np.arange(classes), count))
    vectors = rng.normal(size=(len(labels), features)) + 1.2 * np.eye(classes, features)[labels]
    return vectors.astype(np.float32), labels


def unit(vectors):
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def given_svm(machines, num_classes):
    """Return a head with the support vectors of scikit-learn's machines, one for each class."""
    parts = [machine.support_vectors_ for machine in machines]
    head = SVMHead(parts[0].shape[1], num_classes, num_vectors=sum(map(len, parts)))
    head.vectors.copy_(torch.tensor(np.concatenate(parts)))
    start = 0
    for label, machine in enumerate(machines):
        end = start + len(machine.support_vectors_)
        head.coefficients[label, start:end] = torch.tensor(machine.dual_coef_[0])
        head.intercepts[label] = float(machine.intercept_[0])
        start = end
    head.gamma.fill_(machines[0]._gamma)
    return head.eval()


def given_knn(vectors, labels, classes, **arguments):
    head = KNNHead(vectors.shape[1], classes, num_references=len(vectors), **arguments)
    head.references.copy_(torch.nn.functional.normalize(torch.from_numpy(vectors)))
    head.labels.copy_(torch.from_numpy(labels))
    return head.eval()


def answers(head, vectors):
    with torch.inference_mode():
        return head(torch.from_numpy(vectors)).numpy()


@pytest.mark.parametrize("classes", [2, 3, 6])
def test_support_vectors_decide_as_scikit_learn(classes: int) -> None:
    vectors, labels = clouds(classes)
    many = OneVsRestClassifier(SVC(C=3.0, gamma=0.7)).fit(unit(vectors), labels)
    asked = clouds(classes, 200, seed=1)[0]
    machines = many.estimators_ if classes > 2 else [SVC(C=3.0, gamma=0.7) for _ in range(2)]
    if classes == 2:  # scikit-learn keeps one, for the second class
        for label, machine in enumerate(machines):
            machine.fit(unit(vectors), labels == label)
    logits = answers(given_svm(machines, classes), asked)
    decisions = many.decision_function(unit(asked))
    given = logits if classes > 2 else logits[:, 1]
    np.testing.assert_allclose(given, decisions, atol=1e-4)
    assert (logits.argmax(1) == many.predict(unit(asked))).all()


def test_centring_and_stretching_come_before_the_kernel() -> None:
    vectors, labels = clouds(3)
    prepared = (unit(vectors) - 0.5) * 2
    many = OneVsRestClassifier(SVC(gamma=0.2)).fit(prepared, labels)
    head = given_svm(many.estimators_, 3)
    head.centre.fill_(0.5)
    head.stretch.fill_(2.0)
    expected = many.decision_function(prepared)
    np.testing.assert_allclose(answers(head, vectors), expected, atol=1e-4)
    np.testing.assert_allclose(answers(head, 7 * vectors), expected, atol=1e-4)
    assert np.isfinite(answers(head, 0 * vectors)).all()


def counted_votes(vectors, labels, asked, neighbours, weights, class_weights):
    """Count votes in plain loops."""
    known = [v / math.sqrt((v**2).sum()) for v in vectors.astype(float)]
    shares = []
    for query in asked.astype(float):
        query = query / math.sqrt((query**2).sum())
        near = sorted(
            ((float(query @ v), int(c)) for v, c in zip(known, labels, strict=True)), reverse=True
        )[:neighbours]
        votes = [0.0] * len(class_weights)
        for similarity, label in near:
            vote = math.exp((similarity - near[0][0]) / 0.07) if weights == "distance" else 1.0
            votes[label] += vote * class_weights[label]
        shares.append([vote / sum(votes) for vote in votes])
    return np.array(shares)


@pytest.mark.parametrize("weights", ["uniform", "distance"])
@pytest.mark.parametrize("neighbours", [1, 7, 90])
def test_neighbours_vote_as_counted_by_hand(weights: str, neighbours: int) -> None:
    vectors, labels = clouds(3)
    asked = clouds(3, 10, seed=1)[0]
    head = given_knn(vectors, labels, 4, neighbours=neighbours, weights=weights, smoothing=0.02)
    for class_weights in ([1.0] * 4, [0.5, 1.0, 3.0, 1.0]):
        head.class_weights.copy_(torch.tensor(class_weights))
        shares = counted_votes(vectors, labels, asked, neighbours, weights, class_weights)
        expected = np.log((shares + 0.02) / 1.08)
        logits = answers(head, asked)
        np.testing.assert_allclose(logits, expected, atol=1e-4)
        np.testing.assert_allclose(np.exp(logits).sum(1), 1, rtol=1e-5)
        assert (logits.argmax(1) != 3).all()  # no vector is of the last class


@pytest.mark.parametrize("weights", ["uniform", "distance"])
def test_neighbours_predict_as_scikit_learn(weights: str) -> None:
    vectors, labels = clouds(5)
    asked = clouds(5, 40, seed=1)[0]
    unit = [v / np.linalg.norm(v, axis=1, keepdims=True) for v in (vectors, asked)]
    # Of vectors of length 1, the squared distance is 2 - 2 s.
    how = "uniform" if weights == "uniform" else lambda d: np.exp((1 - d**2 / 2 - 1) / 0.07)
    model = KNeighborsClassifier(9, weights=how).fit(unit[0], labels)
    head = given_knn(vectors, labels, 5, neighbours=9, weights=weights, smoothing=1e-4)
    shares = np.exp(answers(head, asked)) * (1 + 5e-4) - 1e-4
    np.testing.assert_allclose(shares, model.predict_proba(unit[1]), atol=1e-4)


def test_neighbours_that_tie_with_the_last_one_vote_too() -> None:
    vectors = np.array([[1, 0], [1, 0], [1, 0], [0, 1]], dtype=np.float32)
    labels = np.array([0, 1, 2, 3])  # three copies of one image in three classes
    head = given_knn(vectors, labels, 4, neighbours=1, weights="uniform", smoothing=0.01)
    logits = answers(head, np.array([[2, 0.1]], dtype=np.float32))[0]
    np.testing.assert_allclose(
        np.exp(logits), [(1 / 3 + 0.01) / 1.04] * 3 + [0.01 / 1.04], rtol=1e-5
    )


def test_neighbours_are_looked_for_around_the_centre() -> None:
    vectors, labels = clouds(3)
    head = given_knn(vectors, labels, 3, neighbours=5)
    centre = torch.linspace(-3, 3, 8)
    expected = answers(head, vectors)
    head.centre.copy_(centre)
    np.testing.assert_allclose(answers(head, vectors + centre.numpy()), expected, atol=1e-3)


def heads():
    vectors, labels = clouds(4)
    machines = OneVsRestClassifier(SVC()).fit(vectors, labels).estimators_
    torch.manual_seed(0)
    return [
        given_svm(machines, 4),
        given_knn(vectors, labels, 4, neighbours=7),
        LinearHead(8, 4).eval(),
    ]


class Together(nn.Module):
    """Heads of one backbone, since each export takes seconds."""

    def __init__(self, heads) -> None:
        super().__init__()
        self.heads = nn.ModuleList(heads)

    def forward(self, features):
        return tuple(head(features) for head in self.heads)


@pytest.mark.slow
def test_the_graphs_of_heads_answer_as_they_do() -> None:
    every = heads()
    logging.disable(logging.CRITICAL)
    try:
        program = torch.onnx.export(
            Together(every).eval(),
            (torch.zeros(2, 8),),
            dynamo=True,
            dynamic_shapes=({0: torch.export.Dim("N")},),
            verbose=False,
        )
    finally:
        logging.disable(logging.NOTSET)
    session = onnxruntime.InferenceSession(program.model_proto.SerializeToString())
    for count in (1, 2, 30):
        asked = clouds(4, 30, seed=2)[0][:count]
        outputs = session.run(None, {session.get_inputs()[0].name: asked})
        for head, logits in zip(every, outputs, strict=True):
            np.testing.assert_allclose(logits, answers(head, asked), atol=1e-4)
            assert logits.dtype == np.float32


ARGUMENTS = {
    "svm": {"num_vectors": 8},
    "knn": {"num_references": 9, "neighbours": 3, "weights": "uniform", "smoothing": 0.1},
    "linear": {},
}


@pytest.mark.parametrize("kind", ARGUMENTS)
def test_a_head_is_built_anew_from_json_and_filled(kind: str) -> None:
    first = build_head(kind, 6, 4, **ARGUMENTS[kind])
    torch.manual_seed(0)
    state = {
        name: torch.randint(0, 4, value.shape)
        if value.dtype == torch.int64
        else torch.rand_like(value)
        for name, value in first.state_dict().items()
    }
    first.load_state_dict(state)
    second = build_head(kind, 6, 4, **json.loads(json.dumps(ARGUMENTS[kind])))
    second.load_state_dict(first.state_dict())
    asked = torch.randn(5, 6)
    torch.testing.assert_close(second(asked), first(asked), rtol=0, atol=0)
    assert (first.num_features, first.num_classes) == (6, 4)


WRONG = [
    ("tree", {}, "there is no head 'tree'; there are knn, svm, linear"),
    ("linear", {"depth": 3}, "'linear' does not take these arguments: .*depth"),
    ("knn", {}, "'knn' does not take these arguments: .*num_references"),
    ("knn", {"num_references": 0, "neighbours": 1}, "num_references must be a whole number"),
    (
        "knn",
        {"num_references": 3, "neighbours": 4},
        "neighbours must be at most num_references = 3",
    ),
    ("knn", {"num_references": 3, "neighbours": True}, "neighbours must be a whole number"),
    (
        "knn",
        {"num_references": 3, "neighbours": 1, "weights": "x"},
        "weights must be one of uniform",
    ),
    ("knn", {"num_references": 3, "neighbours": 1, "smoothing": 0}, "smoothing must be a finite"),
    ("svm", {"num_vectors": 0}, "num_vectors must be a whole number"),
    ("svm", {"support": [1, 1, 1]}, "'svm' does not take these arguments: .*support"),
    ("knn", {"num_references": 10**15, "neighbours": 1}, "'knn' does not take these arguments"),
]


@pytest.mark.parametrize(("kind", "arguments", "message"), WRONG)
def test_wrong_arguments_are_named(kind: str, arguments: dict, message: str) -> None:
    with pytest.raises(ModelError, match=message) as caught:
        build_head(kind, 6, 3, **arguments)
    assert "\n" not in str(caught.value)
    with pytest.raises(ModelError, match="num_features must be a whole number"):
        build_head("linear", 0, 3)
