"""Networks whose blocks branch: Inception and ResNet for small images."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Literal

import torch
from torch import nn

from lamplighter.errors import ShapeError

if TYPE_CHECKING:
    from torch import Tensor


def shrink(img_size: tuple[int, int], *stages: tuple[int, int]) -> tuple[int, int]:
    """Return the height and width left by stages of an unpadded convolution and a pooling.

    Args:
        img_size: height and width before the first stage.
        stages: (kernel size, pool size) of each stage.

    Raises:
        ShapeError: nothing is left.
    """
    height, width = img_size
    for kernel, pool in stages:
        height, width = (height - kernel + 1) // pool, (width - kernel + 1) // pool
        if height < 1 or width < 1:
            raise ShapeError(
                f"images of {img_size[0]} x {img_size[1]} are too small for this network: nothing "
                f"is left after a {kernel}x{kernel} convolution and {pool}x{pool} pooling; "
                "use larger images."
            )
    return height, width


Merge = Literal["sum", "concatenate"]


class Branches(nn.Module):
    """Run branches side by side on the same input and merge what they give.

    Args:
        branches: each takes the same input, shape (N, C, H, W).
        merge: "sum" adds outputs of equal shape; "concatenate" joins their channels.

    Raises:
        ShapeError: outputs do not fit one another (in the forward pass), or there is no branch.
    """

    def __init__(self, *branches: nn.Module, merge: Merge = "sum") -> None:
        super().__init__()
        if not branches or merge not in ("sum", "concatenate"):
            raise ShapeError(
                "Branches needs at least one branch and merge='sum' or 'concatenate', "
                f"received {len(branches)} and {merge!r}."
            )
        self.branches = nn.ModuleList(branches)
        self.merge = merge

    def forward(self, inputs: Tensor) -> Tensor:
        """Return the merged outputs of all branches for `inputs` (N, C, H, W)."""
        outputs = [branch(inputs) for branch in self.branches]
        shapes = [tuple(output.shape) for output in outputs]
        if self.merge == "sum":
            if any(shape != shapes[0] for shape in shapes):
                raise ShapeError(f"branches to be added must agree in shape, received {shapes}.")
            total: Tensor = functools.reduce(torch.add, outputs)
            return total
        if any((shape[0], *shape[2:]) != (shapes[0][0], *shapes[0][2:]) for shape in shapes):
            raise ShapeError(
                "branches to be concatenated must agree in all but their channels, "
                f"received {shapes}; pad the convolutions alike."
            )
        return torch.cat(outputs, dim=1)

    def extra_repr(self) -> str:
        """Return the way of merging, for `print(network)`."""
        return f"merge={self.merge}"


class ResidualBlock(nn.Module):
    """Two 3x3 convolutions added to their input (He et al., 2015, arXiv:1512.03385).

    Args:
        in_channels: channels of the input.
        out_channels: channels of the output.
        stride: 2 halves height and width.
    """

    def __init__(self, in_channels: int, out_channels: int, stride: int = 1) -> None:
        super().__init__()
        shortcut: nn.Module = nn.Identity()
        if stride != 1 or in_channels != out_channels:
            shortcut = nn.Sequential(
                nn.Conv2d(in_channels, out_channels, 1, stride=stride, bias=False),
                nn.BatchNorm2d(out_channels),
            )
        residual = nn.Sequential(
            *conv_norm_relu(in_channels, out_channels, 3, stride=stride),
            nn.Conv2d(out_channels, out_channels, 3, padding=1, bias=False),
            nn.BatchNorm2d(out_channels),
        )
        self.branches = Branches(shortcut, residual, merge="sum")
        self.relu = nn.ReLU()

    def forward(self, inputs: Tensor) -> Tensor:
        """Return (N, out_channels, H / stride, W / stride) for inputs (N, in_channels, H, W)."""
        outputs: Tensor = self.relu(self.branches(inputs))
        return outputs


class InceptionBlock(Branches):
    """1x1, 3x3, 5x5 and pooled branches side by side (Szegedy et al., 2014, arXiv:1409.4842).

    Args:
        in_channels: channels of the input.
        width: channels of each of the four branches; the output has four times as many.
    """

    def __init__(self, in_channels: int, width: int) -> None:
        super().__init__(
            nn.Sequential(*conv_norm_relu(in_channels, width, 1)),
            nn.Sequential(*conv_norm_relu(in_channels, width, 1), *conv_norm_relu(width, width, 3)),
            nn.Sequential(*conv_norm_relu(in_channels, width, 1), *conv_norm_relu(width, width, 5)),
            nn.Sequential(
                nn.MaxPool2d(3, stride=1, padding=1), *conv_norm_relu(in_channels, width, 1)
            ),
            merge="concatenate",
        )


class PooledCNN(nn.Module):
    """Feature maps averaged over the image, then one dense layer; for images of any size.

    Args:
        features: (N, C, H, W) -> (N, num_features, H', W').
        num_features: channels of the feature maps.
        num_classes: K, the number of classes.
        dropout: share of the averaged features dropped in training.
    """

    def __init__(
        self, features: nn.Module, num_features: int, num_classes: int, *, dropout: float = 0.0
    ) -> None:
        super().__init__()
        self.features = features
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.dropout = nn.Dropout(dropout)
        self.num_features = num_features
        self.reset_classifier(num_classes)

    def forward_features(self, images: Tensor) -> Tensor:
        """Return the feature maps of `images` (N, C, H, W), shape (N, num_features, H', W')."""
        maps: Tensor = self.features(images)
        return maps

    def forward_head(self, maps: Tensor, pre_logits: bool = False) -> Tensor:
        """Return logits (N, K) of feature maps, or the features (N, num_features) before them."""
        features: Tensor = self.pool(maps).flatten(1)
        return features if pre_logits else self.fc(self.dropout(features))

    def forward(self, images: Tensor) -> Tensor:
        """Return the logits (N, K) of `images` (N, C, H, W)."""
        return self.forward_head(self.forward_features(images))

    def reset_classifier(self, num_classes: int) -> None:
        """Replace the last layer by a new one for `num_classes` classes."""
        self.num_classes = num_classes
        self.fc = nn.Linear(self.num_features, num_classes)


class ResidualCNN(PooledCNN):
    """A small residual network: three stages of 16, 32 and 64 channels.

    Args:
        num_classes: K, the number of classes.
        in_chans: channels of the images.
        img_size: any; the maps are averaged at the end.
    """

    def __init__(
        self, num_classes: int = 10, in_chans: int = 1, img_size: tuple[int, int] = (28, 28)
    ) -> None:
        features = nn.Sequential(
            *conv_norm_relu(in_chans, 16, 3),  # (N, 16, H, W)
            ResidualBlock(16, 16),
            ResidualBlock(16, 32, stride=2),  # (N, 32, H / 2, W / 2)
            ResidualBlock(32, 64, stride=2),  # (N, 64, H / 4, W / 4)
        )
        super().__init__(features, 64, num_classes)


class InceptionCNN(PooledCNN):
    """A small inception network: two blocks of 32 and 64 channels.

    Args:
        num_classes: K, the number of classes.
        in_chans: channels of the images.
        img_size: any of at least 4 x 4; the maps are averaged at the end.

    Raises:
        ShapeError: the images are too small.
    """

    def __init__(
        self, num_classes: int = 10, in_chans: int = 1, img_size: tuple[int, int] = (28, 28)
    ) -> None:
        shrink(img_size, (1, 2), (1, 2))
        features = nn.Sequential(
            *conv_norm_relu(in_chans, 16, 3),  # (N, 16, H, W)
            nn.MaxPool2d(2),  # (N, 16, H / 2, W / 2)
            InceptionBlock(16, 8),  # (N, 32, H / 2, W / 2)
            nn.MaxPool2d(2),  # (N, 32, H / 4, W / 4)
            InceptionBlock(32, 16),  # (N, 64, H / 4, W / 4)
        )
        super().__init__(features, 64, num_classes)


def conv_norm_relu(
    in_channels: int, out_channels: int, kernel_size: int, *, stride: int = 1
) -> list[nn.Module]:
    """Return a convolution that keeps the size at stride 1, batch normalisation and ReLU."""
    return [
        nn.Conv2d(
            in_channels,
            out_channels,
            kernel_size,
            stride=stride,
            padding=kernel_size // 2,
            bias=False,
        ),
        nn.BatchNorm2d(out_channels),
        nn.ReLU(),
    ]
