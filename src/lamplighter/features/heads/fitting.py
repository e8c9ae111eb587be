"""`fit_head` and `with_head`: heads fitted on features, and classifiers made of them."""

from __future__ import annotations

import contextlib
import copy
import importlib
import time
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any, TypeGuard

import numpy as np

from lamplighter.errors import ClassCountError, DatasetError, ModelError, ShapeError
from lamplighter.features.heads.model_selection import Samples, numbered_groups
from lamplighter.inference.runtime import runtime
from lamplighter.models.classifier import Architecture, Classifier, check_classifier
from lamplighter.names import unknown_name
from lamplighter.saving.bundle import network_with, precision_note
from lamplighter.saving.composing import composed_graph
from lamplighter.saving.onnx_backbone import is_graph_alone

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from numpy.typing import ArrayLike, NDArray
    from torch import nn

    from lamplighter.models.head_weights import HeadWeights

HEADS = ("knn", "svm", "linear")
_HEAD = "head."  # before the names of the weights of a pretrained network's head


@dataclass(frozen=True)
class FittedHead:
    """A head that has learned.

    Attributes:
        head: what it has learned: `head.logits` makes logits (N, K) of features (N, D), and
            `head.to_torch()` a torch module.
        chosen: the parameters, their macro-F1 in cross-validation with its spread (the standard
            deviation over the folds), and all that was tried as `grid`; plain JSON types. The
            scores are None where there was too little to be tried on.
        seconds: how long search and learning took.
        settings: what it has learned with, as `fit_again` takes it; None where there is no
            search to be taken over.
    """

    head: HeadWeights
    chosen: dict[str, Any]
    seconds: float
    settings: Mapping[str, Any] | None = None

    @property
    def kind(self) -> str:
        """One of `HEADS`."""
        return self.head.kind


def fit_head(
    kind: str,
    vectors: ArrayLike,
    labels: ArrayLike,
    num_classes: int,
    *,
    balanced: bool = True,
    seed: int = 0,
    groups: Sequence[str] | None = None,
) -> FittedHead:
    """Return a head that has learned from feature vectors.

    Its parameters are searched for by stratified cross-validation on these vectors alone, of 3
    folds, for the best macro-F1. A class without vectors gets a finite score that never wins.

    Args:
        kind: "knn" (nearest neighbours), "svm" (support vectors) or "linear" (logistic
            regression or linear discriminants).
        vectors: features, float32, shape (N, D).
        labels: their classes, integers in 0..num_classes - 1, shape (N,).
        num_classes: K.
        balanced: whether rare classes count as much as common ones.
        seed: of the folds; the same seed gives the same head.
        groups: N names; vectors of one name are kept in one fold, "" stands on its own.

    Raises:
        ModelError: there is no such kind, or a feature is NaN or infinite.
        DatasetError: shapes differ, a label is no class, or fewer than two classes have vectors.
        ParityError: the head does not answer as the library that it was learned with.
    """
    if kind not in HEADS:
        raise ModelError(unknown_name("head", kind, HEADS))
    samples = _checked(vectors, labels, num_classes, groups)
    with _alone() as module:
        learner = module(kind)
        start = time.perf_counter()
        settings, chosen = learner.search(samples, balanced=balanced, seed=seed)
        head = learner.learn(samples, settings)
    chosen["balanced"] = balanced
    return FittedHead(head, chosen, time.perf_counter() - start, settings)


def fit_again(
    fitted: FittedHead, vectors: ArrayLike, labels: ArrayLike, num_classes: int
) -> FittedHead:
    """Return a head of the same kind and settings that has learned from other vectors.

    Nothing is searched for: what `chosen` says is of the search that was.

    Args:
        fitted: what `fit_head` gave.
        vectors: features, float32, shape (N, D).
        labels: their classes, integers in 0..num_classes - 1, shape (N,).
        num_classes: K.

    Raises:
        ModelError: `fitted` has no settings, or a feature is NaN or infinite.
        DatasetError: shapes differ, a label is no class, or fewer than two classes have vectors.
    """
    if fitted.settings is None:
        raise ModelError(
            "a head learns again with the settings of `fit_head`, received one that has none; "
            "fit it with fit_head."
        )
    samples = _checked(vectors, labels, num_classes, None)
    with _alone() as module:
        start = time.perf_counter()
        head = module(fitted.kind).learn(samples, dict(fitted.settings))
    return replace(fitted, head=head, seconds=time.perf_counter() - start)


@contextlib.contextmanager
def _alone() -> Iterator[Callable[[str], Any]]:
    """Give what imports the module of a kind of head, with one thread of BLAS until the end.

    The threads of BLAS wait for one another by spinning: on two cores logistic regression took
    nine times as long with them.
    """
    load_libraries()  # no part of what learning costs
    from threadpoolctl import threadpool_limits

    with threadpool_limits(1):
        yield lambda kind: importlib.import_module(f"lamplighter.features.heads.{kind}")


def load_libraries() -> None:
    """Import what `fit_head` needs, which takes seconds the first time."""
    for name in ("onnx", "sklearn.linear_model", "sklearn.model_selection", "sklearn.svm"):
        importlib.import_module(name)


def with_head(classifier: Classifier, fitted: FittedHead, class_names: Sequence[str]) -> Classifier:
    """Return a classifier with the backbone of `classifier` and a fitted head.

    The given one stays as it is. The new one can be saved as a bundle and loaded like any other;
    one that was not made of a pretrained network keeps no way to its torch network in a bundle
    unless its head is linear, as it was before.

    Args:
        classifier: the one whose features the head has learned from.
        fitted: what `fit_head` gave.
        class_names: K names, in the order of the labels that the head has learned.

    Raises:
        ClassCountError: the head gives another number of scores than there are names.
        ShapeError: the head takes another number of features than the network gives.
        ModelError: the network has no head that could be replaced.
    """
    check_classifier(classifier, "with_head")
    expected = fitted.head.num_classes
    if expected != len(class_names):
        raise ClassCountError(
            f"a head needs one name for each class that it has learned, received "
            f"{len(class_names)} names for {expected} classes."
        )
    completed = _joined(classifier, fitted, class_names)
    if completed is None:
        completed = _replaced(classifier, fitted, class_names)
    completed.samples = classifier.samples
    completed.record.recipe = {"head": fitted.kind, **fitted.chosen, **precision_note(completed)}
    return completed


def _joined(
    classifier: Classifier, fitted: FittedHead, class_names: Sequence[str]
) -> Classifier | None:
    """Return a classifier whose graph is that of a pretrained network up to the new head.

    Its torch network is built when it is asked for; of an ONNX file there is none. None where the
    given one does not run a graph, or not one whose weights are known by name.
    """
    given, backbone_graph = classifier.architecture, classifier.graph
    if backbone_graph is None or not classifier.knows_weights:
        return None
    if not _is_pretrained(given) and not is_graph_alone(classifier):
        return None
    _check_width(fitted, runtime(classifier).num_features)
    head = fitted.head
    try:
        graph = composed_graph(backbone_graph, head)
    except ModelError:
        return None
    kept = classifier.weight_arrays()
    weights = {name: value for name, value in kept.items() if not name.startswith(_HEAD)}
    weights |= {f"{_HEAD}{name}": value for name, value in head.weights.items()}
    architecture = None if given is None else _with_new_arguments(given, fitted)
    state: Callable[[], dict[str, NDArray[Any]]] = partial(dict, weights)
    completed = Classifier.from_graph(
        graph,
        classifier.read_network
        if architecture is None
        else partial(network_with, architecture, classifier.preprocessing, head.num_classes, state),
        classifier.preprocessing,
        class_names,
        state=state,
        architecture=architecture,
    )
    completed.backbone_graph, completed.joined_head = backbone_graph, head
    completed.missing, completed.precision = classifier.missing, classifier.precision
    return completed


def _replaced(classifier: Classifier, fitted: FittedHead, class_names: Sequence[str]) -> Classifier:
    """Return a classifier with a copy of the torch network and the new head in it."""
    from lamplighter.models.features import head_of, num_features

    network = classifier.read_network()
    old = head_of(network)
    if old is None or old is network:
        raise ModelError(
            "the network has no head that could be replaced; choose one whose last layer is "
            "dense, such as a pretrained one."
        )
    _check_width(fitted, num_features(network))
    # A copy of the whole network, in which the old head is the new one wherever it stands.
    whole: Any = copy.deepcopy(network, {id(old): fitted.head.to_torch()}).eval()
    if isinstance(getattr(whole, "num_classes", None), int):
        whole.num_classes = fitted.head.num_classes
    completed = Classifier(
        whole,
        classifier.preprocessing,
        class_names,
        architecture=_architecture(classifier.architecture, old, fitted),
    )
    completed.backbone_graph = classifier.graph or classifier.backbone_graph
    return completed


def _check_width(fitted: FittedHead, given: int | None) -> None:
    learned = fitted.head.num_features
    if given is not None and given != learned:
        raise ShapeError(
            f"the head has learned from {learned} features, but the network gives {given}; embed "
            "the images with this network."
        )


def _architecture(
    given: Architecture | None, old: nn.Module, fitted: FittedHead
) -> Architecture | None:
    """Return how to build the network with its new head anew, or None if its class cannot."""
    from torch import nn

    if _is_pretrained(given):
        return _with_new_arguments(given, fitted)
    same = fitted.kind == "linear" and isinstance(old, nn.Linear) and old.bias is not None
    return given if same else None


def _is_pretrained(architecture: Architecture | None) -> TypeGuard[Architecture]:
    return architecture is not None and architecture.name == "pretrained"


def _with_new_arguments(given: Architecture, fitted: FittedHead) -> Architecture:
    """Return how to build a pretrained network with its new head."""
    arguments = {"backbone": given.arguments["backbone"], "head": fitted.kind}
    return Architecture("pretrained", arguments | dict(fitted.head.arguments))


def _checked(
    vectors: ArrayLike, labels: ArrayLike, num_classes: int, groups: Sequence[str] | None
) -> Samples:
    given, classes = np.asarray(vectors, dtype=np.float32), np.asarray(labels)
    if given.ndim != 2 or not given.shape[1] or classes.shape != given.shape[:1]:
        raise DatasetError(
            "a head learns from vectors (N, D) with N labels, received vectors of shape "
            f"{given.shape} and labels of shape {classes.shape}."
        )
    if len(classes) and not np.issubdtype(classes.dtype, np.integer):
        raise DatasetError(f"labels must be integers, received {classes.dtype}.")
    if ((classes < 0) | (classes >= num_classes)).any():
        raise DatasetError(
            f"labels must be in 0..{num_classes - 1}, received {classes.min()}..{classes.max()}; "
            "leave images without a known class out."
        )
    if len(np.unique(classes)) < 2:
        raise DatasetError(
            "a head needs vectors of two or more classes to tell apart, received "
            f"{len(np.unique(classes))}; add images of another class."
        )
    if not np.isfinite(given).all():
        raise ModelError(
            "a head learns from finite features, received NaN or infinity; the network that made "
            "them is damaged."
        )
    return Samples(
        given, classes.astype(np.int64), num_classes, numbered_groups(groups, len(classes))
    )
