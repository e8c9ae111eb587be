from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from lamplighter.datasets.image_data import ImageData, Split
from lamplighter.errors import (
    ArgumentError,
    DatasetError,
    ModelError,
    ShapeError,
    UnknownSplitError,
)
from lamplighter.evaluation.data_map import DataMap, map_of, place, sample
from lamplighter.images.preprocessing import Preprocessing
from lamplighter.inference.predictor import logits_and_features
from lamplighter.models.classifier import Classifier

PREPROCESSING = Preprocessing(height=4, width=4, channels=1, mean=(0.5,), std=(0.5,))


def _classifier(names: tuple[str, ...] = ("a", "b", "c"), features: int = 8) -> Classifier:
    torch.manual_seed(0)
    network = nn.Sequential(
        nn.Flatten(), nn.Linear(16, features), nn.Tanh(), nn.Linear(features, len(names))
    )
    return Classifier(network, PREPROCESSING, names)


def _data(count: int = 90, names: tuple[str, ...] = ("a", "b", "c"), **options: Any) -> ImageData:
    generator = np.random.default_rng(1)
    labels = generator.integers(0, len(names), count)
    images = generator.integers(0, 120, (count, 1, 4, 4)).astype(np.uint8)
    images[np.arange(count), 0, labels % 4] += 120
    split = Split(images, labels.astype(np.int64), **options)
    return ImageData({"test": split}, names, preprocessing=PREPROCESSING, name="rows")


def _features(classifier: Classifier, images: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    inputs = torch.from_numpy(images).float() / 255 * 2 - 1
    with torch.no_grad():
        features: np.ndarray[Any, Any] = classifier.network[:3](inputs).numpy()
    return features.astype(np.float64)


@pytest.mark.parametrize("count", [90, 700])  # scikit-learn takes another way for more than 500
def test_pca_is_that_of_numpy(count: int) -> None:
    classifier, data = _classifier(), _data(count)
    made = map_of(classifier, data)
    features = _features(classifier, data["test"].images)
    centred = features - features.mean(axis=0)
    left, singular, _ = np.linalg.svd(centred, full_matrices=False)
    expected = left[:, :2] * singular[:2]
    signs = np.sign((expected * made.points).sum(axis=0))
    np.testing.assert_allclose(made.points, expected * signs, atol=1e-4)
    assert made.explained == pytest.approx(tuple((singular**2 / (singular**2).sum())[:2]), rel=1e-5)
    assert made.perplexity is None


def test_labels_and_predictions_go_by_name() -> None:
    classifier = _classifier(("c", "a", "x"))
    data = _data(paths=tuple(f"{number}.png" for number in range(90)))
    made = map_of(classifier, data)
    assert made.class_names == ("c", "a", "x", "b")
    for index, label in zip(made.indices, made.labels, strict=True):
        assert made.class_names[label] == data.class_names[data["test"].labels[index]]
    inputs = torch.from_numpy(data["test"].images).float() / 255 * 2 - 1
    with torch.no_grad():
        said = classifier.network(inputs).argmax(dim=1).numpy()
    np.testing.assert_array_equal(made.predicted, said)
    np.testing.assert_array_equal(made.right, made.labels == said)
    values = json.loads(json.dumps(made.to_dict()))
    assert values["images"] == len(values["points"]) == 90
    assert values["mistakes"] == int((made.labels != said).sum())
    assert values["points"][7]["path"] == "7.png"
    assert values["points"][7]["predicted"] == made.class_names[said[7]]


def test_tsne_keeps_groups_together_and_is_repeatable() -> None:
    classifier = _classifier()
    data = _data(60)
    groups = np.random.default_rng(0).normal(scale=0.1, size=(60, 70))
    groups[np.arange(60), data["test"].labels] += 10
    made = map_of(classifier, data, method="tsne", features=groups.astype(np.float32), seed=3)
    assert made.perplexity == pytest.approx(59 / 3)
    assert made.explained is None
    apart = np.linalg.norm(made.points[:, None] - made.points[None], axis=2)
    np.fill_diagonal(apart, np.inf)
    np.testing.assert_array_equal(made.labels[apart.argmin(axis=1)], made.labels)
    again = map_of(classifier, data, method="tsne", features=groups.astype(np.float32), seed=3)
    np.testing.assert_array_equal(made.points, again.points)


def test_tsne_of_the_fewest_images() -> None:
    made = map_of(_classifier(), _data(5), method="tsne")
    assert made.points.shape == (5, 2)
    assert np.isfinite(made.points).all()


def test_a_sample_is_stratified_and_called_one() -> None:
    labels = np.repeat([0, 1, 2], [600, 300, 4]).astype(np.int64)
    labels = np.random.default_rng(0).permutation(labels)
    chosen = sample(labels, 100, seed=4)
    assert len(set(chosen.tolist())) == 100
    assert (np.diff(chosen) > 0).all()
    counts = np.bincount(labels[chosen])
    assert abs(counts[0] - 66) <= 1
    assert abs(counts[1] - 33) <= 1
    assert counts[2] >= 1
    np.testing.assert_array_equal(chosen, sample(labels, 100, seed=4))
    assert (chosen != sample(labels, 100, seed=5)).any()
    assert len(sample(labels, 2)) == 2
    np.testing.assert_array_equal(sample(labels, 904), np.arange(904))

    classifier, data = _classifier(), _data(90)
    made = map_of(classifier, data, limit=30)
    assert len(made) == 30
    assert made.describe().startswith("rows, test: a sample of 30 of 90 images, ")
    np.testing.assert_array_equal(made.labels, data["test"].labels[made.indices])
    features = _features(classifier, data["test"].images).astype(np.float32)
    given = map_of(classifier, data, limit=30, features=features)
    np.testing.assert_allclose(given.points, made.points, atol=1e-5)


def test_progress_counts_images() -> None:
    told: list[int] = []
    map_of(_classifier(), _data(700), progress=told.append)
    assert told == [500, 700]


def test_features_are_the_inputs_of_the_last_layer() -> None:
    classifier, data = _classifier(), _data(20)
    _, features = logits_and_features(classifier, data["test"].images)
    np.testing.assert_allclose(features, _features(classifier, data["test"].images), atol=1e-6)


@pytest.mark.parametrize(
    ("options", "error", "said"),
    [
        ({"split": "val"}, UnknownSplitError, "no split 'val'"),
        ({"method": "umap"}, ArgumentError, "one of pca, tsne, received 'umap'"),
        ({"limit": 1}, DatasetError, "2 images or more"),
        ({"limit": 4, "method": "tsne"}, DatasetError, "5 images or more"),
        ({"features": np.zeros((3, 2), np.float32)}, ShapeError, r"received \(3, 2\)"),
        ({"features": np.ones((90, 4), np.float32)}, ModelError, "the same features"),
        ({"features": np.ones((90, 1), np.float32)}, ModelError, "2 features"),
        ({"features": np.full((90, 4), np.nan, np.float32)}, ModelError, "finite"),
    ],
)
def test_what_cannot_be_mapped(options: Any, error: type[Exception], said: str) -> None:
    with pytest.raises(error, match=said):
        map_of(_classifier(), _data(), **options)


def test_images_of_another_size_and_networks_without_features() -> None:
    bare = Classifier(nn.Sequential(nn.Flatten(), nn.Softmax(1)), PREPROCESSING, list("abc"))
    with pytest.raises(ModelError, match="features"):
        map_of(bare, _data())
    other = Preprocessing(height=5, width=5, channels=1, mean=(0.5,), std=(0.5,))
    wide = Classifier(_classifier().network, other, list("abc"))
    with pytest.raises(ShapeError, match="5 x 5"):
        map_of(wide, _data())


def test_a_network_that_knows_none_of_the_classes() -> None:
    made = map_of(_classifier(("x", "y", "z")), _data(40))
    assert made.predicted is None
    assert made.right.all()
    assert made.class_names == ("a", "b", "c")
    np.testing.assert_array_equal(made.labels, _data(40)["test"].labels)
    assert made.describe() == "rows, test: 40 images, of classes that the network does not know"
    values = made.to_dict()
    assert values["mistakes"] is None
    assert {point["predicted"] for point in values["points"]} == {None}


def test_a_map_is_one_line_as_text() -> None:
    made = map_of(_classifier(), _data())
    assert isinstance(made, DataMap)
    assert repr(made).startswith("DataMap(rows, test: 90 images, ")


def _clusters(count: int) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    generator = np.random.default_rng(2)
    labels = generator.integers(0, 3, count)
    vectors = generator.normal(scale=0.1, size=(count, 20))
    vectors[np.arange(count), labels] += 5
    return vectors.astype(np.float32), labels


def test_beyond_the_limit_others_lie_beside_those_alike() -> None:
    vectors, labels = _clusters(400)
    placed = place(vectors, "tsne", limit=80)
    assert placed.points.shape == (400, 2)
    assert placed.perplexity == pytest.approx(79 / 3)
    middles = np.stack([np.median(placed.points[labels == k], axis=0) for k in range(3)])
    apart = np.linalg.norm(placed.points[:, None] - middles, axis=2)
    np.testing.assert_array_equal(apart.argmin(axis=1), labels)
    np.testing.assert_array_equal(placed.points, place(vectors, "tsne", limit=80).points)


def test_axes_from_a_sample_place_all_images() -> None:
    vectors, _ = _clusters(9000)  # more than are placed at a time
    placed = place(vectors, limit=8999)
    assert placed.points.shape == (9000, 2)
    centred = vectors.astype(np.float64) - vectors.mean(axis=0, dtype=np.float64)
    _, _, directions = np.linalg.svd(centred, full_matrices=False)
    expected = centred @ directions[:2].T
    signs = np.sign((expected * placed.points).sum(axis=0))
    assert np.abs(placed.points - expected * signs).max() < 0.05


@pytest.mark.parametrize(
    ("vectors", "method", "error", "said"),
    [
        (np.zeros((9, 3), np.float32), "umap", ArgumentError, "one of pca, tsne"),
        (np.zeros((4, 3), np.float32), "tsne", DatasetError, "5 images or more, received 4"),
        (np.zeros((9, 1), np.float32), "pca", ModelError, "2 features"),
        (np.full((9, 3), np.nan, np.float32), "pca", ModelError, "finite"),
        (np.ones((9, 3), np.float32), "pca", ModelError, "the same features"),
    ],
)
def test_vectors_that_cannot_be_placed(
    vectors: Any, method: Any, error: type[Exception], said: str
) -> None:
    with pytest.raises(error, match=said):
        place(vectors, method)
