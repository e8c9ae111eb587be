"""Heads compute what scikit-learn's models and plain loops say, in torch and in ONNX alike."""

from __future__ import annotations

import json
import logging
import math

import numpy as np
import onnxruntime
import pytest
import torch
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


def given_svm(machine, num_classes, kernel):
    """Return a head with the support vectors of `machine`."""
    support = [0] * num_classes
    for label, count in zip(machine.classes_, machine.n_support_, strict=True):
        support[label] = int(count)
    head = SVMHead(machine.n_features_in_, num_classes, support=support, kernel=kernel)
    sign = -1 if len(machine.classes_) == 2 else 1
    head.vectors.copy_(torch.tensor(machine.support_vectors_))
    head.coefficients.copy_(torch.tensor(sign * machine.dual_coef_))
    head.intercepts.copy_(torch.tensor(sign * machine.intercept_))
    head.gamma.fill_(machine._gamma)
    return head.eval()


def given_knn(vectors, labels, classes, **arguments):
    head = KNNHead(vectors.shape[1], classes, num_references=len(vectors), **arguments)
    head.references.copy_(torch.nn.functional.normalize(torch.from_numpy(vectors)))
    head.labels.copy_(torch.from_numpy(labels))
    return head.eval()


def answers(head, vectors):
    with torch.inference_mode():
        return head(torch.from_numpy(vectors)).numpy()


@pytest.mark.parametrize("kernel", ["rbf", "linear"])
@pytest.mark.parametrize("classes", [2, 3, 6])
def test_support_vectors_decide_as_scikit_learn(classes: int, kernel: str) -> None:
    vectors, labels = clouds(classes)
    machine = SVC(
        kernel=kernel, C=3.0, class_weight="balanced", break_ties=True, random_state=0
    ).fit(vectors, labels)
    head = given_svm(machine, classes, kernel)
    asked = clouds(classes, 200, seed=1)[0]
    logits = answers(head, asked)
    assert (logits.argmax(1) == machine.predict(asked)).all()
    decisions = machine.decision_function(asked)
    if classes > 2:
        np.testing.assert_allclose(logits, as_shares(decisions, classes), atol=1e-4)
    else:  # scikit-learn gives one number; its sign and order are those of the difference
        difference = logits[:, 1] - logits[:, 0]
        assert (np.sign(difference) == np.sign(decisions)).all()
        expected = np.sign(decisions) + 2 * decisions / (3 * (np.abs(decisions) + 1))
        np.testing.assert_allclose(difference, expected / (2 - 1 / 3), atol=1e-4)
    head.scale.fill_(2.5)
    np.testing.assert_allclose(answers(head, asked), 2.5 * logits, rtol=1e-5)
    head.power.fill_(3.0)
    np.testing.assert_allclose(answers(head, asked), 2.5 * logits**3, rtol=1e-4)


def as_shares(decisions, classes):
    """Return decisions, from -1/3 up to all votes and 1/3, as 0..1."""
    return (decisions + 1 / 3) / (classes - 1 / 3)


def test_centring_and_stretching_come_before_the_kernel() -> None:
    vectors, labels = clouds(3)
    machine = SVC(gamma=0.2, break_ties=True).fit((vectors - 0.5) * 2, labels)
    head = given_svm(machine, 3, "rbf")
    head.centre.fill_(0.5)
    head.stretch.fill_(2.0)
    expected = machine.decision_function((vectors - 0.5) * 2)
    np.testing.assert_allclose(answers(head, vectors), as_shares(expected, 3), atol=1e-4)


def test_a_class_without_support_vectors_never_wins() -> None:
    vectors, labels = clouds(3)
    spread = np.array([1, 2, 4])[labels]  # of 6 classes, three are there
    machine = SVC(break_ties=True).fit(vectors, spread)
    logits = answers(given_svm(machine, 6, "rbf"), vectors)
    expected = as_shares(machine.decision_function(vectors), 3)
    np.testing.assert_allclose(logits[:, [1, 2, 4]], expected, atol=1e-4)
    assert (logits[:, [0, 3, 5]].max(1) < logits[:, [1, 2, 4]].min(1)).all()
    assert np.isfinite(logits).all()


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
    machine = SVC(break_ties=True).fit(*clouds(3))
    two = SVC(kernel="linear").fit(*clouds(2))
    torch.manual_seed(0)
    return [
        given_svm(machine, 4, "rbf"),
        given_svm(two, 2, "linear"),
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
    "svm": {"support": [3, 0, 4, 1], "kernel": "linear"},
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
    ("tree", {}, "head must be one of knn, svm, linear, received 'tree'"),
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
    ("svm", {"support": [1, 2]}, "support must be a list of 3 counts"),
    ("svm", {"support": [1, 0, 0]}, "two or more of them above 0"),
    ("svm", {"support": [1, -1, 3]}, r"received \[1, -1, 3\]"),
    ("svm", {"support": 7}, "received 7"),
    ("svm", {"support": [1, 1, 1], "kernel": "poly"}, "kernel must be one of rbf, linear"),
    ("knn", {"num_references": 10**15, "neighbours": 1}, "'knn' does not take these arguments"),
]


@pytest.mark.parametrize(("kind", "arguments", "message"), WRONG)
def test_wrong_arguments_are_named(kind: str, arguments: dict, message: str) -> None:
    with pytest.raises(ModelError, match=message) as caught:
        build_head(kind, 6, 3, **arguments)
    assert "\n" not in str(caught.value)
    with pytest.raises(ModelError, match="num_features must be a whole number"):
        build_head("linear", 0, 3)
