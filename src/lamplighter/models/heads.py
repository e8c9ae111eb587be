"""Heads: what turns a feature vector into scores of classes."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as f

from lamplighter.errors import ModelError
from lamplighter.models import registry
from lamplighter.models.head_weights import NEAR, TIE, TIED, WEIGHTS
from lamplighter.names import wrong_choice


def check_counts(**counts: object) -> None:
    """Refuse what is not a whole number of at least 1.

    Raises:
        ModelError: the message names the argument.
    """
    for name, count in counts.items():
        if type(count) is not int or count < 1:
            raise ModelError(f"{name} must be a whole number of at least 1, received {count!r}.")


def check_choice(name: str, value: object, choices: tuple[str, ...]) -> None:
    """Refuse what is none of `choices`.

    Raises:
        ModelError: the message names the argument.
    """
    if value not in choices:
        raise ModelError(wrong_choice(name, value, choices))


def check_positive(name: str, value: object) -> None:
    """Refuse what is not a finite number above 0.

    Raises:
        ModelError: the message names the argument.
    """
    if type(value) not in (int, float) or not 0 < value < math.inf:  # type: ignore[operator]
        raise ModelError(f"{name} must be a finite number above 0, received {value!r}.")


class SVMHead(nn.Module):
    """Support vector machines, each class against all others.

    A class's logit is the signed distance that its machine decides by, times one number that all
    classes share: sum over v of coefficient_v kernel(x, v) + intercept. One against the rest
    (Rifkin and Klautau, 2004, J. Mach. Learn. Res. 5:101-141) gives smooth scores; the votes of
    each pair of classes were less accurate and said little of how sure an answer is.

    Args:
        num_features: D, the length of a feature vector.
        num_classes: K, the number of classes.
        num_vectors: V, how many support vectors there are, of all machines together.

    Attributes:
        centre: taken from the features after their length is made 1, shape (D,).
        stretch: the features are then multiplied by it, one number.
        vectors: the support vectors, prepared in the same way, shape (V, D).
        coefficients: of each vector in each class's machine, shape (K, V).
        intercepts: of each class's machine, shape (K,).
        gamma: of the kernel.

    Raises:
        ModelError: an argument is none of these.
    """

    centre: Tensor
    stretch: Tensor
    vectors: Tensor
    coefficients: Tensor
    intercepts: Tensor
    gamma: Tensor

    def __init__(self, num_features: int, num_classes: int, *, num_vectors: int) -> None:
        super().__init__()
        check_counts(num_features=num_features, num_classes=num_classes, num_vectors=num_vectors)
        self.num_features = num_features
        self.num_classes = num_classes
        self.register_buffer("centre", torch.zeros(num_features))
        self.register_buffer("stretch", torch.ones(()))
        self.register_buffer("vectors", torch.zeros(num_vectors, num_features))
        self.register_buffer("coefficients", torch.zeros(num_classes, num_vectors))
        self.register_buffer("intercepts", torch.zeros(num_classes))
        self.register_buffer("gamma", torch.ones(()))

    def forward(self, features: Tensor) -> Tensor:
        """Return logits (N, K) of `features` (N, D)."""
        prepared = (f.normalize(features) - self.centre) * self.stretch
        squares = (
            prepared.square().sum(1, keepdim=True)
            + self.vectors.square().sum(1)
            - 2 * prepared @ self.vectors.T
        )  # (N, V)
        kernel = torch.exp(-self.gamma * squares.clamp(min=0))
        return kernel @ self.coefficients.T + self.intercepts


class LinearHead(nn.Linear):
    """One linear layer: multinomial logistic regression.

    Args:
        num_features: D, the length of a feature vector.
        num_classes: K, the number of classes.
    """

    def __init__(self, num_features: int, num_classes: int) -> None:
        check_counts(num_features=num_features, num_classes=num_classes)
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
        check_counts(num_features=num_features, num_classes=num_classes)
        check_counts(num_references=num_references, neighbours=neighbours)
        if neighbours > num_references:
            raise ModelError(
                f"neighbours must be at most num_references = {num_references}, "
                f"received {neighbours}; ask fewer."
            )
        check_choice("weights", weights, WEIGHTS)
        check_positive("smoothing", smoothing)
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


Head = KNNHead | SVMHead | LinearHead


def build_head(kind: str, num_features: int, num_classes: int, **arguments: Any) -> Head:
    """Return a new head that has learned nothing yet.

    Args:
        kind: "knn", "svm" or "linear", or one that `lamplighter.register` or a plug-in names.
        num_features: D, the length of a feature vector.
        num_classes: K, the number of classes.
        arguments: what else its class takes.

    Raises:
        UnknownModelError: there is no such kind.
        PluginError: it is of a plug-in that does not load.
        ModelError: it does not take these arguments, or what is built is no module.
    """
    builder = registry.find(kind, kind="head").load()
    try:
        head: Any = builder(num_features, num_classes, **arguments)
    except (TypeError, RuntimeError) as error:  # the latter where there is no such memory
        first = (str(error).splitlines() or ["?"])[0]
        raise ModelError(
            f"a head of kind {kind!r} does not take these arguments: {first}; give it those that "
            "its class names."
        ) from error
    registry.checked_module("head", kind, head)
    for name, count in (("num_features", num_features), ("num_classes", num_classes)):
        if not hasattr(head, name):  # what is joined to a backbone tells its sizes
            setattr(head, name, count)
    built: Head = head
    return built
