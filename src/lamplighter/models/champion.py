"""Plain networks for small images: one for the best score, one for a good score in seconds."""

from __future__ import annotations

from functools import partial

from torch import nn

from lamplighter.models.sizes import shrink
from lamplighter.models.small import SmallCNN


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
