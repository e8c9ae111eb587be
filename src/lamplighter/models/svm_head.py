"""Support vectors as a torch module."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as f

from lamplighter.models.head_checks import check_counts


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
