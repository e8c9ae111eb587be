"""Plain convolutional networks for small images."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from torch import nn

from lamplighter.models.branching import Branches, shrink

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


class ChampionCNN(SmallCNN):
    """A 5x5 and four 3x3 convolutions with batch normalisation and GELU, dropout, out.

    Two 3x3 convolutions in place of the first made it no better and nearly twice as slow.

    Args:
        num_classes: K, the number of classes.
        in_chans: channels of the images.
        img_size: height and width of the images; at least 16 x 16.
        widths: maps of the three stages.
        dropout: share of the features dropped in training.

    Raises:
        ShapeError: the images are too small.
    """

    def __init__(
        self,
        num_classes: int = 10,
        in_chans: int = 1,
        img_size: tuple[int, int] = (28, 28),
        *,
        widths: tuple[int, int, int] = (32, 80, 160),
        dropout: float = 0.3,
    ) -> None:
        super().__init__()
        # The two unpadded 3x3 convolutions take as much from the edges as one of 5x5.
        height, width = shrink(img_size, (5, 2), (5, 2))
        first, second, third = widths
        conv = partial(_conv, activation=nn.GELU)
        self.features = nn.Sequential(  # (N, C, H, W), sizes for 28 x 28
            *conv(in_chans, first, 5, pool=2),  # (N, 32, 12, 12)
            *conv(first, second, 3),  # (N, 80, 10, 10)
            *conv(second, second, 3, pool=2),  # (N, 80, 4, 4)
            *conv(second, third, 3, padding=1),  # (N, 160, 4, 4)
            *conv(third, third, 3, padding=1),  # (N, 160, 4, 4)
        )
        self.num_features = third * height * width
        self.hidden = nn.Dropout(dropout)
        self.reset_classifier(num_classes)


class QuickCNN(SmallCNN):
    """Three convolutions that shrink the image early: a good score in seconds on a CPU.

    Args:
        num_classes: K, the number of classes.
        in_chans: channels of the images.
        img_size: height and width of the images; at least 20 x 20.

    Raises:
        ShapeError: the images are too small.
    """

    def __init__(
        self, num_classes: int = 10, in_chans: int = 1, img_size: tuple[int, int] = (28, 28)
    ) -> None:
        super().__init__()
        height, width = shrink(img_size, (5, 2), (3, 2), (3, 1))
        self.features = nn.Sequential(  # (N, C, H, W), sizes for 28 x 28
            *_conv(in_chans, 16, 5, pool=2),  # (N, 16, 12, 12)
            *_conv(16, 32, 4, stride=2),  # (N, 32, 5, 5)
            *_conv(32, 64, 3),  # (N, 64, 3, 3)
        )
        self.num_features = 64 * height * width
        self.hidden = nn.Identity()
        self.reset_classifier(num_classes)


def _conv(
    in_channels: int,
    out_channels: int,
    kernel_size: int,
    *,
    padding: int = 0,
    stride: int = 1,
    pool: int = 1,
    activation: type[nn.Module] = nn.ReLU,
) -> list[nn.Module]:
    """Return a convolution, pooling if asked for, batch normalisation and an activation."""
    convolution = nn.Conv2d(
        in_channels, out_channels, kernel_size, padding=padding, stride=stride, bias=False
    )
    # Pooled first, the rest costs a quarter.
    pooling = [nn.MaxPool2d(pool)] if pool > 1 else []
    return [convolution, *pooling, nn.BatchNorm2d(out_channels), activation()]
