"""Parameterizations of an image to optimise: pixels, or a decorrelated spectrum.

The same images can be reached either way, but not as easily. On natural images each frequency
and each colour axis matters as much as its share of the variance; a step in a space where these
are scaled alike gives smooth, large shapes rather than noise (Olah et al., 2017,
doi:10.23915/distill.00007).
"""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any, Literal

import torch
from torch import Tensor

from lamplighter.errors import ModelError
from lamplighter.names import wrong_choice

if TYPE_CHECKING:
    from collections.abc import Sequence

Kind = Literal["fourier", "pixel"]
Bounds = Literal["sigmoid", "clamp"]
KINDS: tuple[Kind, ...] = ("fourier", "pixel")
BOUNDS: tuple[Bounds, ...] = ("sigmoid", "clamp")

# Brightness, red against blue, green against both: nearly the principal axes of the colours of
# photos (Ohta, Kanade and Sakai, 1980, doi:10.1016/0146-664X(80)90047-7).
_AXES = ((1.0, 1.0, 1.0), (1.0, 0.0, -1.0), (-0.5, 1.0, -0.5))
# How far a step goes along them, beside brightness. In photos colours spread 0.29 and 0.14 times
# as far (the square roots of the eigenvalues in Krizhevsky et al., 2012, measured on ImageNet),
# but at that rate an ascent draws nearly in grey.
_SPREADS = (1.0, 0.5, 0.3)
# Cycles along the longer side up to which all frequencies are scaled alike. In photos, patches of
# light and dark as large as the image would otherwise swallow what is drawn.
_LOWEST = {1: 1.0, 3: 3.0}
_DARKEST = 0.05  # a sigmoid is 0 or 1 nowhere, and hardly moves near them


class _CutOff(torch.autograd.Function):
    """Values cut off at 0 and 1; what lies at or beyond an edge can come back, but not go on.

    Gradients are taken to be of what is to become small.
    """

    @staticmethod
    def forward(context: Any, values: Tensor) -> Tensor:
        context.save_for_backward(values)
        return values.clamp(0, 1)

    @staticmethod
    def backward(context: Any, *gradients: Tensor) -> Tensor:
        (gradient,), (values,) = gradients, context.saved_tensors
        out = ((values <= 0) & (gradient > 0)) | ((values >= 1) & (gradient < 0))
        return gradient.masked_fill(out, 0)


class Parameterisation:
    """Images in 0..1 as a function of free numbers.

    Args:
        count: N, how many images.
        shape: (C, H, W) of each.
        kind: "pixel", or "fourier": a spectrum scaled by 1/f and, for RGB, decorrelated colours.
        bounds: how pixels are kept in 0..1: "sigmoid" squashes them; "clamp" cuts them off, and
            `project` takes "pixel" parameters back after each step.
        mean: brightness of each channel to begin with, C numbers in 0..1.
        noise: standard deviation of what is added to it at random, before the bounds.
        generator: where the noise comes from; by default a new one with seed 0.

    Attributes:
        parameters: what an optimiser is to change; a leaf that requires gradients.

    Raises:
        ModelError: kind or bounds are none of these.
    """

    def __init__(
        self,
        count: int,
        shape: tuple[int, int, int],
        *,
        kind: Kind = "fourier",
        bounds: Bounds = "sigmoid",
        mean: Sequence[float],
        noise: float = 0.01,
        generator: torch.Generator | None = None,
    ) -> None:
        _check_choice("parameterisation", kind, KINDS)
        _check_choice("bounds", bounds, BOUNDS)
        self.shape = shape
        self.kind = kind
        self.bounds = bounds
        channels, height, width = shape
        self._scale = frequency_scale(height, width, lowest=_LOWEST[channels])
        self._colours = colour_axes() if channels == 3 else None
        self._start = _start(mean, bounds).reshape(channels, 1, 1)
        random = torch.randn(
            (count, *self._free_shape()), generator=generator or torch.Generator().manual_seed(0)
        )
        self.parameters = noise * random
        if kind == "pixel":
            self.parameters = self.parameters + self._start
        self.parameters.requires_grad_()
        self.project()

    def images(self) -> Tensor:
        """Return the images, shape (N, C, H, W), in 0..1."""
        values = self.unbounded()
        if self.bounds == "sigmoid":
            return values.sigmoid()
        cut: Tensor = _CutOff.apply(values)
        return cut

    def unbounded(self) -> Tensor:
        """Return what the bounds make images of, shape (N, C, H, W)."""
        if self.kind == "pixel":
            return self.parameters
        _, height, width = self.shape
        spectrum = torch.view_as_complex(self.parameters) * self._scale
        plain = torch.fft.irfft2(spectrum, s=(height, width), norm="ortho")
        if self._colours is not None:
            plain = torch.einsum("nahw,ac->nchw", plain, self._colours)
        values: Tensor = self._start + plain
        return values

    def project(self) -> None:
        """Take pixels that are out of range back to its edge, where they are to be cut off."""
        if self.kind == "pixel" and self.bounds == "clamp":
            with torch.no_grad():
                self.parameters.clamp_(0, 1)

    def taken(self, rows: Sequence[int], device: torch.device) -> Parameterisation:
        """Return a new one on `device` that begins as the images `rows` of this one are."""
        other = copy.copy(self)
        other._scale, other._start = self._scale.to(device), self._start.to(device)
        other._colours = None if self._colours is None else self._colours.to(device)
        chosen = self.parameters.detach()[list(rows)]
        other.parameters = chosen.to(device).requires_grad_()
        return other

    def _free_shape(self) -> tuple[int, ...]:
        channels, height, width = self.shape
        if self.kind == "pixel":
            return self.shape
        return (channels, height, width // 2 + 1, 2)  # real and imaginary parts


def frequency_scale(height: int, width: int, *, lowest: float = 1.0) -> Tensor:
    """Return 1/f for each frequency of a real image, shape (H, W // 2 + 1).

    In cycles per pixel, scaled so that parameters of variance 1 give pixels of variance 1.

    Args:
        height: of the image.
        width: of the image.
        lowest: cycles along the longer side; lower frequencies are taken for this one.
    """
    rows = torch.fft.fftfreq(height).reshape(-1, 1)
    columns = torch.fft.rfftfreq(width).reshape(1, -1)
    frequency = (rows.square() + columns.square()).sqrt().clamp(min=lowest / max(height, width))
    scale: Tensor = 1 / frequency
    normalised: Tensor = scale / scale.square().mean().sqrt()
    return normalised


def colour_axes() -> Tensor:
    """Return RGB of each decorrelated colour, a row each, as long as a step goes; (3, 3)."""
    axes = torch.tensor(_AXES)
    lengths = torch.tensor(_SPREADS).reshape(3, 1)
    scaled: Tensor = lengths * axes / torch.linalg.vector_norm(axes, dim=1, keepdim=True)
    return scaled


def _start(mean: Sequence[float], bounds: Bounds) -> Tensor:
    start = torch.tensor(list(mean), dtype=torch.float32).clamp(0, 1)
    return start.clamp(_DARKEST, 1 - _DARKEST).logit() if bounds == "sigmoid" else start


def _check_choice(name: str, value: object, choices: tuple[str, ...]) -> None:
    if value not in choices:
        raise ModelError(wrong_choice(name, value, choices))
