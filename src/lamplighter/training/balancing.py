"""Data in which some classes have many more images than others."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from lamplighter.errors import TrainingError
from lamplighter.names import wrong_choice

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from torch import Tensor

Balance = Literal["none", "weights", "sampler"]
BALANCES = ("none", "weights", "sampler")


def check_balance(balance: str) -> None:
    """Refuse a method of balancing that is not known.

    Raises:
        TrainingError: it is not one of `BALANCES`.
    """
    if balance not in BALANCES:
        raise TrainingError(wrong_choice("balance", balance, BALANCES))


def class_weights(labels: NDArray[np.int64], num_classes: int) -> Tensor:
    """Return weights of the classes for `nn.CrossEntropyLoss`: the fewer images, the more.

    N / (C n) for a class of n of the N images, where C classes have images: over all images the
    mean is 1, as with scikit-learn's "balanced" (King and Zeng, 2001). A class without an image
    weighs 1.

    Args:
        labels: class indices of the training images, shape (N,).
        num_classes: K.

    Returns:
        float32 of shape (K,).
    """
    import numpy as np
    import torch

    counts = np.bincount(labels, minlength=num_classes)
    present = np.count_nonzero(counts)
    weights = np.where(counts > 0, len(labels) / (present * np.maximum(counts, 1)), 1.0)
    return torch.from_numpy(weights.astype(np.float32))
