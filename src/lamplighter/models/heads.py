"""Heads: what turns the features of a network into scores for classes.

Each is a torch module, so that a backbone and its head are one network and one ONNX graph. All
that a head has learned is in tensors whose shapes follow from what its class was given.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import torch
from torch import nn
from torch.nn import functional as f

from lamplighter.errors import ModelError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from torch import Tensor

WEIGHTS = ("uniform", "distance")
KERNELS = ("rbf", "linear")
NEAR = 0.07  # how fast a neighbour's vote fades with its cosine distance
TIE = 1e-6  # similarities that differ by less are equal: float32 has no more
TIED = 16  # neighbours that may tie with the last one and vote too


class LinearHead(nn.Linear):
    """One linear layer: multinomial logistic regression.

    Args:
        num_features: D, the length of a feature vector.
        num_classes: K, the number of classes.
    """

    def __init__(self, num_features: int, num_classes: int) -> None:
        _check_counts(num_features=num_features, num_classes=num_classes)
        super().__init__(num_features, num_classes)
        self.num_features = num_features
        self.num_classes = num_classes


class KNNHead(nn.Module):
    """The nearest neighbours among known vectors vote, by cosine similarity to the centre of all.

    A vote counts as much as its class weighs and, with weights="distance", exp((s - 1) / 0.07) for
    a similarity of s (Wu et al., 2018, arXiv:1805.01978). Neighbours that tie with the last one
    vote too. The logits are logarithms of the shares of votes, with `smoothing` added to each.

    Args:
        num_features: D, the length of a feature vector.
        num_classes: K, the number of classes.
        num_references: M, how many vectors are known.
        neighbours: how many of them vote; at most M.
        weights: "uniform" or "distance".
        smoothing: what each class has beyond its share; above 0, so that logits are finite.

    Attributes:
        centre: taken from the features before their length is made 1, shape (D,).
        references: the known vectors, centred and of length 1, shape (M, D).
        labels: their classes, int64, shape (M,).
        class_weights: what a vote for each class counts, shape (K,).

    Raises:
        ModelError: an argument is none of these.
    """

    centre: Tensor
    references: Tensor
    labels: Tensor
    class_weights: Tensor

    def __init__(
        self,
        num_features: int,
        num_classes: int,
        *,
        num_references: int,
        neighbours: int,
        weights: str = "distance",
        smoothing: float = 0.01,
    ) -> None:
        super().__init__()
        _check_counts(num_features=num_features, num_classes=num_classes)
        _check_counts(num_references=num_references, neighbours=neighbours)
        if neighbours > num_references:
            raise ModelError(
                f"neighbours must be at most num_references = {num_references}, "
                f"received {neighbours}; ask fewer."
            )
        _check_choice("weights", weights, WEIGHTS)
        _check_positive("smoothing", smoothing)
        self.num_features = num_features
        self.num_classes = num_classes
        self.neighbours = neighbours
        self.weights = weights
        self.smoothing = smoothing
        self.register_buffer("centre", torch.zeros(num_features))
        self.register_buffer("references", torch.zeros(num_references, num_features))
        self.register_buffer("labels", torch.zeros(num_references, dtype=torch.int64))
        self.register_buffer("class_weights", torch.ones(num_classes))

    def forward(self, features: Tensor) -> Tensor:
        """Return logits (N, K) of `features` (N, D)."""
        smoothed = self.shares(features) + self.smoothing
        logits: Tensor = (smoothed / (1 + self.num_classes * self.smoothing)).log()
        return logits

    def shares(self, features: Tensor) -> Tensor:
        """Return each class's share of the votes on `features` (N, D), shape (N, K)."""
        return self.voted(*self.nearest(features, self.neighbours))

    def nearest(self, features: Tensor, neighbours: int) -> tuple[Tensor, Tensor]:
        """Return the similarities of so many neighbours and a few more, and which they are."""
        similarities = f.normalize(features - self.centre) @ self.references.T  # (N, M)
        found = similarities.topk(min(neighbours + TIED, len(self.references)))
        return found.values, found.indices

    def voted(self, nearest: Tensor, which: Tensor) -> Tensor:
        """Return the shares (N, K) of the votes of what `nearest` found."""
        last = nearest[:, self.neighbours - 1 : self.neighbours]
        votes = (nearest >= last - TIE).to(nearest.dtype)
        if self.weights == "distance":
            # Relative to the nearest one, so that votes far away do not vanish.
            votes = votes * torch.exp((nearest - nearest[:, :1]) / NEAR)
        classes = torch.arange(self.num_classes, device=nearest.device)
        of_class = self.labels[which].unsqueeze(2) == classes  # (N, found, K)
        counted = (votes.unsqueeze(2) * of_class).sum(1) * self.class_weights  # (N, K)
        shares: Tensor = counted / counted.sum(1, keepdim=True)
        return shares


class SVMHead(nn.Module):
    """A support vector machine, one class against one, as scikit-learn's SVC decides.

    Each pair of classes votes; the confidences of a class's pairs, squashed to less than a vote,
    break ties (`SVC(decision_function_shape="ovr", break_ties=True)`). The logits are these
    decisions times `scale`. A class without support vectors gets less than all others.

    Args:
        num_features: D, the length of a feature vector.
        num_classes: K, the number of classes.
        support: how many support vectors each class has, K numbers; V is their sum.
        kernel: "rbf", exp(-gamma |x - v|^2), or "linear", x . v.

    Attributes:
        centre: taken from the features, shape (D,).
        stretch: the features are then multiplied by it, one number.
        vectors: the support vectors, centred and stretched, grouped by class, shape (V, D).
        coefficients: of each vector against each other class, shape (P - 1, V) for P classes that
            have support vectors.
        intercepts: of each pair of them, shape (P (P - 1) / 2,).
        gamma: of the RBF kernel.
        scale: what the decisions are multiplied by.
        first, second: where the two sides of each pair are among all sides.
        signs: which class each pair speaks for and which against, shape (pairs, P).
        place: which of the K classes each of the P is, shape (P, K); `absent` is -1 for others.

    Raises:
        ModelError: an argument is none of these.
    """

    centre: Tensor
    stretch: Tensor
    vectors: Tensor
    coefficients: Tensor
    intercepts: Tensor
    gamma: Tensor
    scale: Tensor
    first: Tensor
    second: Tensor
    signs: Tensor
    place: Tensor
    absent: Tensor

    def __init__(
        self,
        num_features: int,
        num_classes: int,
        *,
        support: Sequence[int],
        kernel: str = "rbf",
    ) -> None:
        super().__init__()
        _check_counts(num_features=num_features, num_classes=num_classes)
        _check_choice("kernel", kernel, KERNELS)
        self.num_features = num_features
        self.num_classes = num_classes
        self.support = _checked_support(support, num_classes)
        self.kernel = kernel
        self.present = [index for index, count in enumerate(self.support) if count]
        vectors, present = sum(self.support), len(self.present)
        self.register_buffer("centre", torch.zeros(num_features))
        self.register_buffer("stretch", torch.ones(()))
        self.register_buffer("vectors", torch.zeros(vectors, num_features))
        self.register_buffer("coefficients", torch.zeros(present - 1, vectors))
        self.register_buffer("intercepts", torch.zeros(present * (present - 1) // 2))
        self.register_buffer("gamma", torch.ones(()))
        self.register_buffer("scale", torch.ones(()))
        self._register_pairs()

    def forward(self, features: Tensor) -> Tensor:
        """Return logits (N, K) of `features` (N, D)."""
        kernel = self._kernel((features - self.centre) * self.stretch)  # (N, V)
        sides, start = [], 0
        for count in (self.support[index] for index in self.present):
            own = slice(start, start + count)
            sides.append(kernel[:, own] @ self.coefficients[:, own].T)  # against each other class
            start += count
        flat = torch.cat(sides, 1)  # (N, P (P - 1))
        pairs = flat[:, self.first] + flat[:, self.second] + self.intercepts  # (N, pairs)
        # As in scikit-learn, a pair's vote at exactly 0 goes to its first class.
        votes = (torch.where(pairs < 0, -1.0, 1.0) @ self.signs + len(self.present) - 1) / 2
        confidence = pairs @ self.signs  # (N, P)
        decisions = votes + confidence / (3 * (confidence.abs() + 1))
        return self.scale * (decisions @ self.place + self.absent)

    def _kernel(self, features: Tensor) -> Tensor:
        products = features @ self.vectors.T  # (N, V)
        if self.kernel == "linear":
            return products
        squares = (
            features.square().sum(1, keepdim=True) + self.vectors.square().sum(1) - 2 * products
        )
        return torch.exp(-self.gamma * squares.clamp(min=0))

    def _register_pairs(self) -> None:
        """Note which numbers make a pair, and which classes it speaks for."""
        present = len(self.present)
        pairs = [(i, j) for i in range(present) for j in range(i + 1, present)]
        signs = torch.zeros(len(pairs), present)
        for row, (i, j) in enumerate(pairs):
            signs[row, i], signs[row, j] = 1.0, -1.0
        place = torch.zeros(present, self.num_classes)
        place[range(present), self.present] = 1.0
        # A class's coefficients leave itself out: j is in row j - 1 of i < j, i in row i of j.
        first = torch.tensor([i * (present - 1) + j - 1 for i, j in pairs])
        second = torch.tensor([j * (present - 1) + i for i, j in pairs])
        for name, tensor in (("first", first), ("second", second), ("signs", signs)):
            self.register_buffer(name, tensor, persistent=False)
        self.register_buffer("place", place, persistent=False)
        # All others have at least -1/3.
        self.register_buffer("absent", place.sum(0) - 1, persistent=False)


Head = KNNHead | SVMHead | LinearHead

_KINDS: dict[str, Callable[..., Head]] = {"knn": KNNHead, "svm": SVMHead, "linear": LinearHead}


def build_head(kind: str, num_features: int, num_classes: int, **arguments: Any) -> Head:
    """Return a new head that has learned nothing yet.

    Args:
        kind: "knn", "svm" or "linear".
        num_features: D, the length of a feature vector.
        num_classes: K, the number of classes.
        arguments: what else its class takes.

    Raises:
        ModelError: there is no such kind, or it does not take these arguments.
    """
    _check_choice("head", kind, tuple(_KINDS))
    try:
        return _KINDS[kind](num_features, num_classes, **arguments)
    except (TypeError, RuntimeError) as error:  # the latter where there is no such memory
        first = (str(error).splitlines() or ["?"])[0]
        raise ModelError(
            f"a head of kind {kind!r} does not take these arguments: {first}; give it those that "
            "its class names."
        ) from error


def _check_counts(**counts: object) -> None:
    for name, count in counts.items():
        if type(count) is not int or count < 1:
            raise ModelError(f"{name} must be a whole number of at least 1, received {count!r}.")


def _check_choice(name: str, value: object, choices: tuple[str, ...]) -> None:
    if value not in choices:
        raise ModelError(f"{name} must be one of {', '.join(choices)}, received {value!r}.")


def _check_positive(name: str, value: object) -> None:
    if type(value) not in (int, float) or not 0 < value < math.inf:  # type: ignore[operator]
        raise ModelError(f"{name} must be a finite number above 0, received {value!r}.")


def _checked_support(support: object, num_classes: int) -> list[int]:
    counts = list(support) if isinstance(support, (list, tuple)) else []
    good = all(type(count) is int and count >= 0 for count in counts)
    if not good or len(counts) != num_classes or sum(count > 0 for count in counts) < 2:
        raise ModelError(
            f"support must be a list of {num_classes} counts, one for each class and two or more "
            f"of them above 0, received {support!r:.80}."
        )
    return counts
