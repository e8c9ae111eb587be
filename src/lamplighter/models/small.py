"""Small networks for a first look: those that a course on convolutional networks begins with."""

from __future__ import annotations

from typing import TYPE_CHECKING

from torch import nn

from lamplighter.models.branching import Branches
from lamplighter.models.sizes import shrink

if TYPE_CHECKING:
    from torch import Tensor


class SmallCNN(nn.Module):
    """A few convolutions, then a few dense layers, in the vocabulary of timm.

    Subclasses set `features` (N, C, H, W) -> (N, C', H', W'), `hidden` (N, C'H'W') ->
    (N, num_features) and call `reset_classifier`.
    """

    features: nn.Module
    hidden: nn.Module
    fc: nn.Linear
    num_features: int
    num_classes: int

    def forward_features(self, images: Tensor) -> Tensor:
        """Return the feature maps of `images` (N, C, H, W), shape (N, C', H', W')."""
        maps: Tensor = self.features(images)
        return maps

    def forward_head(self, maps: Tensor, pre_logits: bool = False) -> Tensor:
        """Return logits (N, K) of feature maps, or the features (N, num_features) before them."""
        features: Tensor = self.hidden(maps.flatten(1))
        return features if pre_logits else self.fc(features)

    def forward(self, images: Tensor) -> Tensor:
        """Return the logits (N, K) of `images` (N, C, H, W)."""
        return self.forward_head(self.forward_features(images))

    def reset_classifier(self, num_classes: int) -> None:
        """Replace the last layer by a new one for `num_classes` classes."""
        self.num_classes = num_classes
        self.fc = nn.Linear(self.num_features, num_classes)


class SimpleCNN(SmallCNN):
    """One convolution: 5x5x32, pool, dropout, dense 128, out.

    Args:
        num_classes: K, the number of classes.
        in_chans: channels of the images.
        img_size: height and width of the images; at least 6 x 6.
        dropout: share of the feature maps' values dropped in training.

    Raises:
        ShapeError: the images are too small.
    """

    def __init__(
        self,
        num_classes: int = 10,
        in_chans: int = 1,
        img_size: tuple[int, int] = (28, 28),
        *,
        dropout: float = 0.2,
    ) -> None:
        super().__init__()
        height, width = shrink(img_size, (5, 2))
        self.features = nn.Sequential(  # (N, C, H, W)
            nn.Conv2d(in_chans, 32, 5),  # (N, 32, H - 4, W - 4)
            nn.ReLU(),
            nn.MaxPool2d(2),  # (N, 32, (H - 4) / 2, (W - 4) / 2)
            nn.Dropout(dropout),
        )
        self.num_features = 128
        self.hidden = nn.Sequential(nn.Linear(32 * height * width, 128), nn.ReLU())
        self.reset_classifier(num_classes)


class BetterCNN(SmallCNN):
    """Two convolutions: 5x5x30, pool, 3x3x15, pool, dropout, dense 128, dense 50, out.

    Args:
        num_classes: K, the number of classes.
        in_chans: channels of the images.
        img_size: height and width of the images; at least 12 x 12.
        dropout: share of the feature maps' values dropped in training.

    Raises:
        ShapeError: the images are too small.
    """

    def __init__(
        self,
        num_classes: int = 10,
        in_chans: int = 1,
        img_size: tuple[int, int] = (28, 28),
        *,
        dropout: float = 0.2,
    ) -> None:
        super().__init__()
        height, width = shrink(img_size, (5, 2), (3, 2))
        self.features = nn.Sequential(  # (N, C, H, W)
            nn.Conv2d(in_chans, 30, 5),  # (N, 30, H - 4, W - 4)
            nn.ReLU(),
            nn.MaxPool2d(2),  # (N, 30, H', W') with H' = (H - 4) / 2
            nn.Conv2d(30, 15, 3),  # (N, 15, H' - 2, W' - 2)
            nn.ReLU(),
            nn.MaxPool2d(2),  # (N, 15, (H' - 2) / 2, (W' - 2) / 2)
            nn.Dropout(dropout),
        )
        self.num_features = 50
        self.hidden = nn.Sequential(
            nn.Linear(15 * height * width, 128), nn.ReLU(), nn.Linear(128, 50), nn.ReLU()
        )
        self.reset_classifier(num_classes)


class BranchCNN(SmallCNN):
    """Two branches of 16 maps, 1x1 and 5x5, added; pool, dropout, dense 128, out.

    Args:
        num_classes: K, the number of classes.
        in_chans: channels of the images.
        img_size: height and width of the images; at least 2 x 2.
        dropout: share of the feature maps' values dropped in training.

    Raises:
        ShapeError: the images are too small.
    """

    def __init__(
        self,
        num_classes: int = 10,
        in_chans: int = 1,
        img_size: tuple[int, int] = (28, 28),
        *,
        dropout: float = 0.2,
    ) -> None:
        super().__init__()
        height, width = shrink(img_size, (1, 2))
        self.features = nn.Sequential(  # (N, C, H, W)
            Branches(
                nn.Sequential(nn.Conv2d(in_chans, 16, 1), nn.ReLU()),
                nn.Sequential(nn.Conv2d(in_chans, 16, 5, padding=2), nn.ReLU()),
                merge="sum",
            ),  # (N, 16, H, W)
            nn.MaxPool2d(2),  # (N, 16, H / 2, W / 2)
            nn.Dropout(dropout),
        )
        self.num_features = 128
        self.hidden = nn.Sequential(nn.Linear(16 * height * width, 128), nn.ReLU())
        self.reset_classifier(num_classes)
