"""Heads as arrays: their scores in numpy are those of the torch modules, and the way back."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest
import torch
from torch import nn

from lamplighter.models.head_weights import (
    KINDS,
    TIED,
    HeadWeights,
    ModuleWeights,
    nearest,
    of_module,
    unit_rows,
    voted,
)
from lamplighter.models.heads import KNNHead, LinearHead, SVMHead
from tests.absent_packages import run_without

WIDTH, CLASSES = 16, 4


def module(kind, **arguments):
    """A torch head whose weights are drawn by lot, in evaluation mode."""
    torch.manual_seed(1)
    if kind == "linear":
        return LinearHead(WIDTH, CLASSES).eval()
    if kind == "svm":
        head = SVMHead(WIDTH, CLASSES, num_vectors=30)
        for name in ("vectors", "coefficients", "intercepts", "centre"):
            getattr(head, name).normal_()
        head.stretch.fill_(1.7)
        head.gamma.fill_(0.1)
        return head.eval()
    arguments = {"num_references": 40, "neighbours": 7} | arguments
    head = KNNHead(WIDTH, CLASSES, **arguments)
    head.centre.normal_()
    head.references.copy_(nn.functional.normalize(torch.randn(head.references.shape)))
    head.labels.copy_(torch.arange(len(head.labels)) % (CLASSES - 1))  # the last has no vector
    head.class_weights.copy_(torch.tensor([1.0, 2.0, 0.5, 1.0]))
    return head.eval()


def features(dtype=np.float32, count=50, seed=0):
    vectors = np.random.default_rng(seed).normal(size=(count, WIDTH)) * 3
    return vectors.astype(dtype)


def by_torch(head, vectors):
    given = torch.from_numpy(vectors)
    with torch.inference_mode():
        return head.to(given.dtype)(given).numpy()


HEADS = [
    ("linear", {}),
    ("svm", {}),
    *(
        ("knn", {"neighbours": neighbours, "weights": weights, "smoothing": 0.02})
        for neighbours in (1, 7, 24, 40)
        for weights in ("uniform", "distance")
    ),
]


@pytest.mark.parametrize(("kind", "arguments"), HEADS)
@pytest.mark.parametrize(("dtype", "close"), [(np.float32, 1e-5), (np.float64, 1e-12)])
def test_scores_are_those_of_the_torch_module(kind, arguments, dtype, close):
    head = of_module(module(kind, **arguments))
    expected = by_torch(module(kind, **arguments), features(dtype))
    logits = head.logits(features(dtype))
    assert logits.dtype == dtype
    assert expected.std() > 0.1  # they say something
    np.testing.assert_allclose(logits, expected, rtol=close, atol=close * 5)


@pytest.mark.parametrize("kind", KINDS)
def test_each_vector_is_scored_by_itself(kind):
    head, given = of_module(module(kind)), features(np.float64)
    whole = head.logits(given)
    assert head.logits(given[:0]).shape == (0, CLASSES)
    for row in (0, 17):
        np.testing.assert_allclose(head.logits(given[row : row + 1])[0], whole[row], rtol=1e-12)


@pytest.mark.parametrize("kind", KINDS)
def test_many_vectors_are_scored_as_few(kind):
    head, many = of_module(module(kind)), features(count=2500)
    logits = head.logits(many)
    np.testing.assert_allclose(logits, by_torch(module(kind), many), atol=1e-4)
    np.testing.assert_allclose(logits[1020:1030], head.logits(many[1020:1030]), atol=1e-5)


def test_many_vectors_take_no_more_memory_than_some():
    """10,000 vectors against 2,000 of 500 classes; a vote for each class would take a gigabyte."""
    count, classes = 2000, 500
    weights = {
        "centre": np.zeros(WIDTH, dtype=np.float32),
        "references": unit_rows(features(count=count)),
        "labels": np.arange(count) % classes,
        "class_weights": np.ones(classes, dtype=np.float32),
    }
    arguments = {"num_references": count, "neighbours": 40, "weights": "uniform", "smoothing": 0.01}
    head, asked = HeadWeights("knn", weights, arguments), features(count=10_000, seed=1)
    tracemalloc.start()
    try:
        logits = head.logits(asked)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert logits.shape == (10_000, classes)
    assert peak < 2 * logits.nbytes + 60e6


@pytest.mark.parametrize("kind", KINDS)
def test_a_vector_of_zeros_has_finite_scores(kind):
    zeros = np.zeros((1, WIDTH), dtype=np.float32)
    head = module(kind)
    logits = of_module(head).logits(zeros)
    assert np.isfinite(logits).all()
    np.testing.assert_allclose(logits, by_torch(head, zeros), atol=1e-5)
    assert (unit_rows(zeros) == 0).all()


@pytest.mark.parametrize("kind", KINDS)
def test_sizes_are_told_and_the_torch_module_is_built_anew(kind):
    given = module(kind)
    head = of_module(given)
    assert (head.kind, head.num_features, head.num_classes) == (kind, WIDTH, CLASSES)
    made = head.to_torch()
    assert type(made) is type(given)
    assert not made.training
    for name, value in given.state_dict().items():
        assert torch.equal(made.state_dict()[name], value)
    with torch.no_grad():  # neither is a view of the other's weights
        for value in (*made.state_dict().values(), *given.state_dict().values()):
            value.fill_(0)
    assert all(value.any() for value in head.weights.values())


@pytest.mark.parametrize("kind", KINDS)
def test_weights_of_half_precision_are_widened(kind):
    """numpy has no bfloat16, and scores are not computed in float16."""
    wide = of_module(module(kind))
    for dtype in (torch.bfloat16, torch.float16):
        narrow = of_module(module(kind).to(dtype))
        for name, value in wide.weights.items():
            assert narrow.weights[name].dtype == value.dtype
            np.testing.assert_allclose(narrow.weights[name], value, rtol=0.01)


@pytest.mark.parametrize(
    "head",
    [nn.Linear(WIDTH, 2, bias=False), nn.Sequential(nn.Linear(WIDTH, 2)), nn.Identity()],
    ids=["no bias", "sequence", "identity"],
)
def test_what_is_of_no_known_kind_is_none(head):
    assert of_module(head) is None


class TestTies:
    """Copies of one image must not win by their order."""

    def head(self, labels, *, neighbours, weights="uniform", smoothing=1e-6):
        count = len(labels)
        values = {
            "centre": np.zeros(2, dtype=np.float32),
            "references": np.tile(np.float32([1, 0]), (count, 1)),
            "labels": np.array(labels),
            "class_weights": np.ones(3, dtype=np.float32),
        }
        arguments = {
            "num_references": count,
            "neighbours": neighbours,
            "weights": weights,
            "smoothing": smoothing,
        }
        return HeadWeights("knn", values, arguments)

    @pytest.mark.parametrize("weights", ["uniform", "distance"])
    @pytest.mark.parametrize("neighbours", [1, 2])
    def test_what_ties_with_the_last_one_votes_too(self, neighbours, weights):
        head = self.head([0, 1, 2, 1], neighbours=neighbours, weights=weights)
        for turned in (head, self.head([2, 1, 1, 0], neighbours=neighbours, weights=weights)):
            shares = np.exp(turned.logits(np.float32([[3, 0.5]])))
            np.testing.assert_allclose(shares, [[0.25, 0.5, 0.25]], atol=1e-4)

    def test_what_is_farther_by_more_than_rounding_does_not(self):
        head = self.head([0, 1, 1, 1], neighbours=1)
        head.weights["references"][1:] = unit_rows(np.float32([[1, 0.01]]))
        shares = np.exp(head.logits(np.float32([[1, 0]])))
        np.testing.assert_allclose(shares, [[1, 0, 0]], atol=1e-4)

    def test_so_many_vote_and_no_more(self):
        """As in torch, and in the graph: the vote of a hundred copies is one of some of them."""
        head = self.head([0] * 100, neighbours=3)
        similarities, which = nearest(head, np.float32([[1, 0]]), 3)
        assert similarities.shape == which.shape == (1, 3 + TIED)
        assert len(set(which[0])) == 3 + TIED
        np.testing.assert_allclose(voted(head, similarities, which), [[1, 0, 0]])

    def test_neighbours_come_in_their_order(self):
        head = of_module(module("knn"))
        vectors = features(np.float64, count=5)
        similarities, which = nearest(head, vectors, 7)
        centred = unit_rows(vectors - head.weights["centre"])
        every = centred @ head.weights["references"].T.astype(np.float64)
        expected = np.argsort(-every, axis=1)[:, : 7 + TIED]
        np.testing.assert_array_equal(which, expected)
        np.testing.assert_allclose(similarities, np.take_along_axis(every, expected, axis=1))


class Scaled(nn.Module):
    """A head of somebody's own, which behaves otherwise in training."""

    def __init__(self, num_features, num_classes, *, scale):
        super().__init__()
        self.num_features, self.num_classes, self.scale = num_features, num_classes, scale
        self.inner = nn.Linear(num_features, num_classes)
        self.dropout = nn.Dropout(0.5)

    def forward(self, given):
        return self.scale * self.inner(self.dropout(given))


class TestModuleWeights:
    @pytest.fixture
    def given(self):
        torch.manual_seed(3)
        return Scaled(WIDTH, CLASSES, scale=2.0)

    @pytest.fixture
    def head(self, given):
        return ModuleWeights("scaled", given.eval(), {"scale": 2.0})

    def test_tells_what_the_module_is(self, head, given):
        assert (head.kind, head.num_features, head.num_classes) == ("scaled", WIDTH, CLASSES)
        assert head.arguments == {"scale": 2.0}
        assert set(head.weights) == {"inner.weight", "inner.bias"}
        np.testing.assert_array_equal(
            head.weights["inner.weight"], given.inner.weight.detach().numpy()
        )

    @pytest.mark.parametrize(("dtype", "close"), [(np.float32, 1e-5), (np.float64, 1e-12)])
    def test_scores_in_the_precision_of_the_features(self, head, given, dtype, close):
        vectors = features(dtype)
        logits = head.logits(vectors)
        weight, bias = (value.astype(dtype) for value in head.weights.values())
        assert logits.dtype == dtype
        np.testing.assert_allclose(logits, 2 * (vectors @ weight.T + bias), rtol=close, atol=close)
        assert given.inner.weight.dtype == torch.float32  # it stays as it is
        np.testing.assert_array_equal(head.logits(vectors[:, ::-1][:, ::-1]), logits)

    def test_scores_as_in_evaluation_and_leaves_the_module_as_it_is(self, given):
        head = ModuleWeights("scaled", given.train(), {"scale": 2.0})
        first, second = (head.logits(features()) for _ in range(2))
        np.testing.assert_array_equal(first, second)
        assert given.training

    def test_gives_a_copy(self, head, given):
        made = head.to_torch()
        assert made is not given
        assert not made.training
        with torch.no_grad():
            made.inner.weight.zero_()
        assert given.inner.weight.any()


def test_scores_need_no_torch():
    code = """
import sys
import numpy as np
from lamplighter.models.head_weights import HeadWeights
head = HeadWeights("linear", {"weight": np.ones((2, 3)), "bias": np.array([0.0, 1.0])})
print(head.logits(np.ones((1, 3))).tolist(), head.num_features, head.num_classes)
try:
    head.to_torch()
except ImportError as error:
    print(error.name)
"""
    assert run_without("torch", "onnx", code=code).splitlines() == ["[[3.0, 4.0]] 3 2", "torch"]
