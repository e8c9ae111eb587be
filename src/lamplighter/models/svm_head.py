"""Support vectors as a torch module."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

import torch
from torch import nn

from lamplighter.errors import ModelError
from lamplighter.models.head_checks import check_choice, check_counts

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    from numpy.typing import NDArray
    from torch import Tensor

    Numbers = TypeVar("Numbers", Tensor, NDArray[np.float64])

KERNELS = ("rbf", "linear")


class SVMHead(nn.Module):
    """A support vector machine, one class against one, as scikit-learn's SVC decides.

    Each pair of classes votes; the confidences of a class's pairs, squashed to less than a vote,
    break ties (`SVC(decision_function_shape="ovr", break_ties=True)`). The logits are `scale`
    times these decisions, brought to 0..1 and raised to `power`: votes fall evenly from the first
    class to the last, but probabilities should not. The order of classes stays. A class without
    support vectors gets less than all others.

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
        scale: the logit of a class that wins all of its pairs.
        power: how much faster than votes the logits fall, at least 1.
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
    power: Tensor
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
        check_counts(num_features=num_features, num_classes=num_classes)
        check_choice("kernel", kernel, KERNELS)
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
        self.register_buffer("power", torch.ones(()))
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
        spread = share_of_votes(decisions, len(self.present)).clamp(min=0) ** self.power
        return self.scale * (spread @ self.place + self.absent)

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
        # All others have at least 0.
        self.register_buffer("absent", place.sum(0) - 1, persistent=False)


def share_of_votes(decisions: Numbers, classes: int) -> Numbers:
    """Return decisions of so many classes, from -1/3 up to all votes and 1/3, as 0..1."""
    return (decisions + 1 / 3) / (classes - 1 / 3)


def _checked_support(support: object, num_classes: int) -> list[int]:
    counts = list(support) if isinstance(support, (list, tuple)) else []
    good = all(type(count) is int and count >= 0 for count in counts)
    if not good or len(counts) != num_classes or sum(count > 0 for count in counts) < 2:
        raise ModelError(
            f"support must be a list of {num_classes} counts, one for each class and two or more "
            f"of them above 0, received {support!r:.80}."
        )
    return counts
