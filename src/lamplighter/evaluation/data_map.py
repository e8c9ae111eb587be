"""A map of a data set: features in two dimensions, by PCA or t-SNE."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, get_args

import numpy as np

from lamplighter.errors import (
    ArgumentError,
    DatasetError,
    MissingPackageError,
    ModelError,
    ShapeError,
)
from lamplighter.evaluation.report import check_size, labels_by_name
from lamplighter.inference.predictor import logits_and_features
from lamplighter.installation import install_command
from lamplighter.models.classifier import check_classifier
from lamplighter.models.reliability import unit_length
from lamplighter.names import wrong_choice

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from numpy.typing import NDArray

    from lamplighter.datasets.image_data import ImageData
    from lamplighter.models.classifier import Classifier

Method = Literal["pca", "tsne"]

_PERPLEXITY = 30.0  # about how many neighbours t-SNE looks at
_COMPONENTS = 50  # that t-SNE is given: the rest is mostly noise, and costs time
_FEWEST = {"pca": 2, "tsne": 5}  # images
_NEAREST = 5  # in the sample, that say where another image lies
_AT_ONCE = 4096  # images that are placed at a time


@dataclass(frozen=True, eq=False)
class Placed:
    """Feature vectors as points in the plane.

    Attributes:
        points: shape (N, 2).
        explained: of PCA, the share of the variance of the features along each axis, 0..1.
        perplexity: of t-SNE.
    """

    points: NDArray[np.float64]
    explained: tuple[float, float] | None = None
    perplexity: float | None = None


@dataclass(frozen=True, eq=False)
class DataMap:
    """The images of a split as points in the plane.

    Attributes:
        data: what the data set is called.
        split: which split of it.
        method: "pca" or "tsne".
        points: where each image lies, shape (M, 2).
        indices: where the image of each point is in the split, ascending, shape (M,).
        labels: the true class of each point, an index into `class_names`, shape (M,).
        predicted: the class it was given to, an index into `class_names`, shape (M,); None where
            the classifier knows none of these classes, so that it can be neither right nor wrong.
        class_names: those of the classifier, then those that it does not know; where it knows
            none, those of the data.
        images: pixels of the whole split, uint8, shape (N, C, H, W).
        paths: the names of the N files of the split, or none.
        explained: of PCA, the share of the variance of the features along each axis, 0..1.
        perplexity: of t-SNE.
    """

    data: str
    split: str
    method: Method
    points: NDArray[np.float64]
    indices: NDArray[np.int64]
    labels: NDArray[np.int64]
    predicted: NDArray[np.int64] | None
    class_names: tuple[str, ...]
    images: NDArray[np.uint8]
    paths: tuple[str, ...] = ()
    explained: tuple[float, float] | None = None
    perplexity: float | None = None

    def __len__(self) -> int:
        return len(self.points)

    def __repr__(self) -> str:
        return f"DataMap({self.describe()})"

    @property
    def right(self) -> NDArray[np.bool_]:
        """Whether the prediction for each point is not a mistake, shape (M,)."""
        if self.predicted is None:
            return np.ones(len(self), dtype=bool)
        right: NDArray[np.bool_] = self.labels == self.predicted
        return right

    def describe(self) -> str:
        """Return what is on the map, in one line; a sample is called one."""
        shown, total = len(self), len(self.images)
        count = (
            f"{total:,} images" if shown == total else f"a sample of {shown:,} of {total:,} images"
        )
        if self.predicted is None:
            return f"{self.data}, {self.split}: {count}, of classes that the network does not know"
        wrong = shown - int(self.right.sum())
        return f"{self.data}, {self.split}: {count}, {wrong:,} of them wrong"

    def to_dict(self) -> dict[str, Any]:
        """Return the map as plain JSON types, a dictionary for each point."""
        said = [None] * len(self) if self.predicted is None else self.predicted.tolist()
        points = [
            {
                "index": int(index),
                "path": self.paths[index] if self.paths else None,
                "x": round(float(x), 6),
                "y": round(float(y), 6),
                "true": self.class_names[true],
                "predicted": None if guess is None else self.class_names[guess],
            }
            for index, (x, y), true, guess in zip(
                self.indices, self.points, self.labels, said, strict=True
            )
        ]
        return {
            "data": self.data,
            "split": self.split,
            "method": self.method,
            "images": len(self),
            "images_in_split": len(self.images),
            "mistakes": None if self.predicted is None else len(self) - int(self.right.sum()),
            "explained": list(self.explained) if self.explained is not None else None,
            "perplexity": self.perplexity,
            "points": points,
        }


def map_of(
    classifier: Classifier,
    data: ImageData,
    split: str = "test",
    *,
    method: Method = "pca",
    features: NDArray[np.float32] | None = None,
    limit: int = 2000,
    seed: int = 0,
    progress: Callable[[int], None] | None = None,
) -> DataMap:
    """Return a map of a split: what the network finds alike lies near one another.

    The features of the images are brought into the plane by their two principal components, whose
    distances can be read, or by t-SNE (van der Maaten and Hinton, 2008, JMLR 9:2579-2605) of
    their 50 first ones, which shows groups better but whose distances between groups mean little.
    A network that knows none of the classes, such as a pretrained one, can be asked as well.

    Args:
        classifier: whose features are taken.
        data: images of the size and channels of the classifier's preprocessing.
        split: which split of the data.
        method: "pca" or "tsne".
        features: those of the whole split, made already, shape (N, D).
        limit: of more images than these, a sample is shown: the same share of each class, but
            at least one image.
        seed: of the sample and of t-SNE; the same seed gives the same map.
        progress: called after each batch with the number of images done so far.

    Raises:
        UnknownSplitError: the data has no such split.
        DatasetError: there are too few images.
        ArgumentError: there is no such method.
        ShapeError: the images are of another size, or `features` has another length.
        ModelError: the network has no features, fewer than two, or the same for every image.
        MissingPackageError: scikit-learn is not installed.
    """
    check_classifier(classifier, "map_of")
    chosen = data[split]
    if method not in get_args(Method):
        raise ArgumentError(wrong_choice("the method of a map", method, get_args(Method)))
    if min(len(chosen), limit) < _FEWEST[method]:
        raise DatasetError(
            f"a map by {method} needs {_FEWEST[method]} images or more, received "
            f"{len(chosen)} in the split {split!r} of {data.name} and a limit of {limit}."
        )
    if features is not None and (features.ndim != 2 or len(features) != len(chosen)):
        raise ShapeError(
            f"features must be of shape (N, D), one row for each of the {len(chosen)} images of "
            f"{split!r}, received {features.shape}; they must be of this split, in its order."
        )
    check_size(classifier, chosen, data.name)
    in_common = {data.class_names[label] for label in np.unique(chosen.labels)}
    in_common &= set(classifier.class_names)
    class_names, labels = data.class_names, chosen.labels
    if in_common:
        class_names, labels = labels_by_name(classifier, data, chosen)
    indices = sample(labels, limit, seed)
    logits, vectors = logits_and_features(classifier, chosen.images[indices], progress=progress)
    placed = place(vectors if features is None else features[indices], method, seed=seed)
    return DataMap(
        data.name,
        split,
        method,
        placed.points,
        indices,
        labels[indices],
        logits.argmax(axis=1).astype(np.int64) if in_common else None,
        class_names,
        chosen.images,
        chosen.paths,
        explained=placed.explained,
        perplexity=placed.perplexity,
    )


def sample(labels: NDArray[np.int64], limit: int, seed: int = 0) -> NDArray[np.int64]:
    """Return at most `limit` indices, ascending: of each class the same share, at least one.

    Args:
        labels: class of each image, shape (N,).
        limit: where it is less than the number of classes, some classes are left out.
        seed: of the choice.
    """
    if len(labels) <= limit:
        return np.arange(len(labels))
    order = np.random.default_rng(seed).permutation(len(labels))
    order = order[np.argsort(labels[order], kind="stable")]  # by class, random within each
    sorted_labels = labels[order]
    is_first = np.r_[True, sorted_labels[1:] != sorted_labels[:-1]]
    firsts, others = order[is_first], order[~is_first]
    if len(firsts) >= limit:
        return np.sort(firsts[:limit])
    room = limit - len(firsts)
    evenly = ((np.arange(room) + 0.5) * len(others) / room).astype(np.int64)
    return np.sort(np.concatenate([firsts, others[evenly]]))


def place(
    vectors: NDArray[np.float32], method: Method = "pca", *, limit: int | None = None, seed: int = 0
) -> Placed:
    """Return feature vectors as points in the plane, by PCA or t-SNE, as `map_of` does.

    Args:
        vectors: shape (N, D).
        method: "pca" or "tsne".
        limit: of more vectors than these, a random sample of so many makes the map: it gives the
            axes of PCA; with t-SNE, each of the others is put where its 5 most similar ones in
            the sample lie (their median).
        seed: of the sample and of t-SNE; the same seed gives the same points.

    Raises:
        ArgumentError: there is no such method.
        DatasetError: there are too few vectors.
        ModelError: they have fewer than two numbers, are not finite, or are all the same.
        MissingPackageError: scikit-learn is not installed.
    """
    if method not in get_args(Method):
        raise ArgumentError(wrong_choice("the method of a map", method, get_args(Method)))
    count = len(vectors) if limit is None else min(len(vectors), limit)
    if count < _FEWEST[method]:
        raise DatasetError(
            f"a map by {method} needs {_FEWEST[method]} images or more, received {count}."
        )
    _check_vectors(vectors)
    try:
        from sklearn.decomposition import PCA
        from sklearn.manifold import TSNE
        from threadpoolctl import threadpool_limits
    except ImportError as error:
        raise MissingPackageError(
            f"a map needs scikit-learn, which is not installed; {install_command()}."
        ) from error
    chosen = np.sort(np.random.default_rng(seed).permutation(len(vectors))[:count])
    values = vectors[chosen].astype(np.float64)
    if method == "pca":
        components = PCA(2, random_state=seed).fit(values)
        first, second = (float(share) for share in components.explained_variance_ratio_)
        parts = [components.transform(part.astype(np.float64)) for part in _parts(vectors)]
        return Placed(np.concatenate(parts), explained=(first, second))
    if min(values.shape) > _COMPONENTS:
        values = PCA(_COMPONENTS, random_state=seed).fit_transform(values)
    perplexity = min(_PERPLEXITY, (count - 1) / 3)
    # Threads of OpenMP spin while they wait: beside other work, two take ten times as long as one.
    with threadpool_limits(1):
        placed = TSNE(2, perplexity=perplexity, init="pca", random_state=seed).fit_transform(values)
    return Placed(_with_others(vectors, chosen, placed.astype(np.float64)), perplexity=perplexity)


def _check_vectors(vectors: NDArray[np.float32]) -> None:
    if vectors.shape[1] < 2:
        raise ModelError(
            f"a map needs 2 features of an image or more, received {vectors.shape[1]}; "
            "take a network with a wider last layer but one."
        )
    if not np.isfinite(vectors).all():
        raise ModelError("features must be finite, received NaN or an infinite number.")
    if np.ptp(vectors, axis=0).max() == 0:
        raise ModelError(
            f"the network gives all {len(vectors)} images the same features, so that there is "
            "nothing to map; has its training diverged?"
        )


def _with_others(
    vectors: NDArray[np.float32], chosen: NDArray[np.int64], placed: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Return points for all vectors, from those `placed` for the rows `chosen`."""
    points = np.empty((len(vectors), 2))
    points[chosen] = placed
    known, nearest = unit_length(vectors[chosen]), min(_NEAREST, len(chosen))
    for rows in _parts(np.setdiff1d(np.arange(len(vectors)), chosen)):
        alike = unit_length(vectors[rows]) @ known.T  # cosines, shape (rows, chosen)
        closest = np.argpartition(-alike, nearest - 1, axis=1)[:, :nearest]
        points[rows] = np.median(placed[closest], axis=1)
    return points


def _parts(rows: NDArray[Any]) -> Iterator[NDArray[Any]]:
    """Yield some rows at a time, so that copies of them take little memory."""
    for start in range(0, len(rows), _AT_ONCE):
        yield rows[start : start + _AT_ONCE]
