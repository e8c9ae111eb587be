"""Attribution methods on captum: gradients, Grad-CAM, occlusion, and others."""

from __future__ import annotations

import contextlib
import math
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from lamplighter.errors import ModelError, UnknownLayerError
from lamplighter.explain.attribution.covers import baseline_name, check_count, window_over
from lamplighter.explain.attribution.requests import (
    Answer,
    baseline_of,
    gradients_explained,
    no_gradient,
)
from lamplighter.explain.hooks import activations_of, check_finite, spatial_maps

if TYPE_CHECKING:
    from lamplighter.explain.attribution.requests import Asked


def last_spatial_layer(network: nn.Module, inputs: Tensor) -> str:
    """Return the name of the layer that is the last to give maps of more than one pixel.

    It is the one that ends last in a forward pass, so that what is added up in a block counts as
    the block's. Of several that give the very same maps, it is the outermost.

    Args:
        network: in evaluation mode.
        inputs: prepared images, shape (N, C, H, W).

    Raises:
        ModelError: there is none, or what follows it are sequences, as in a transformer.
    """
    size = (int(inputs.shape[2]), int(inputs.shape[3]))
    last, after = "", False

    def watch(name: str) -> Any:
        def hook(_: nn.Module, __: Any, output: Any) -> None:
            nonlocal last, after
            if not isinstance(output, torch.Tensor):
                return
            if spatial_maps(output, size) is not None:
                last, after = name, False
            elif output.ndim == 3 and output.shape[1] > 1:
                after = True

        return hook

    with contextlib.ExitStack() as hung, torch.no_grad():
        for name, module in network.named_modules():
            if name:
                hung.callback(module.register_forward_hook(watch(name)).remove)
        network(inputs)
    if not last or after:
        cause = "its maps become sequences" if last else "no layer gives maps"
        raise ModelError(
            "Grad-CAM needs a layer that gives maps of more than one pixel near the network's end, "
            f"but {cause} in this one; name a layer= or use another method."
        )
    return last


# What torch's functions are called, in-place or not.
_RECTIFIERS = ("relu", "relu6")
_SMOOTH = {
    "celu": "CELU",
    "elu": "ELU",
    "gelu": "GELU",
    "hardswish": "Hardswish",
    "leaky_relu": "LeakyReLU",
    "mish": "Mish",
    "prelu": "PReLU",
    "selu": "SELU",
    "silu": "SiLU",
    "softplus": "Softplus",
}


class GuidedRectifiers(TorchFunctionMode):
    """While this lasts, ReLUs let only positive gradients back (see `guided_backprop`).

    It watches torch's own functions, so that it sees ReLU and ReLU6 as modules and as functions,
    in-place or not, and each use of a module that is used several times; it hangs nothing onto
    the network. What torch does not run by these functions, such as compiled code, it cannot see.

    Attributes:
        treated: how many rectifiers were.
        others: the names of other activation functions, which were not.
    """

    def __init__(self) -> None:
        super().__init__()
        self.treated = 0
        self.others: set[str] = set()

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        """Call a function of torch, and mind the gradient of what a rectifier gives."""
        kwargs = kwargs or {}
        output = func(*args, **kwargs)
        name = getattr(func, "__name__", "").rstrip("_")
        if name in _SMOOTH:
            self.others.add(_SMOOTH[name])
        if _rectifies(name, args, kwargs) and isinstance(output, Tensor) and output.requires_grad:
            self.treated += 1
            # The rectifier itself then passes what is left where its input is above 0.
            hang: Any = output.register_hook  # it has no types
            hang(lambda gradient: gradient.clamp(min=0))
        return output


def _rectifies(name: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> bool:
    """Return whether a function of torch is a ReLU or, as a Hardtanh from 0, a ReLU6."""
    if name in _RECTIFIERS:
        return True
    if name != "hardtanh":
        return False
    low = args[1] if len(args) > 1 else kwargs.get("min_val", -1.0)
    return bool(low == 0)


def saliency(asked: Asked) -> Answer:
    """Find how strongly each pixel moves the score.

    The largest absolute gradient over channels (Simonyan et al., 2013, arXiv:1312.6034). It says
    where a small change of the image changes the score most, up or down; not how much of the
    score is there already, and it is noisy.
    """
    maps = _gradients(asked).abs().amax(1)  # (N, H, W)
    _check_moves(asked, maps)
    return Answer(maps)


def smoothgrad(asked: Asked, *, samples: int = 16, noise: float = 0.15, seed: int = 0) -> Answer:
    """Find how strongly each pixel moves the score, in the mean over noisy copies of the image.

    The gradients of the copies are averaged, then the largest absolute value over channels is
    taken (Smilkov et al., 2017, arXiv:1706.03825). It means what saliency means, of images nearby
    rather than of this one alone, and has less noise.

    Args:
        asked: what is asked.
        samples: how many copies, at least 1.
        noise: standard deviation of the Gaussian noise, as a share of the image's range of values.
        seed: of the noise, which is the same for each image.
    """
    check_count("samples", samples)
    if not 0 < noise < math.inf:
        raise ModelError(f"noise must be a finite number above 0, received {noise!r}.")
    from captum.attr import NoiseTunnel, Saliency

    tunnel = NoiseTunnel(Saliency(asked.network))
    parts = []
    for one in asked.one_by_one():
        spread = float(one.inputs.max() - one.inputs.min())
        with torch.random.fork_rng(devices=[]), gradients_explained(asked.network):
            torch.manual_seed(seed)
            mean = tunnel.attribute(
                one.inputs,
                nt_samples=samples,
                nt_samples_batch_size=min(samples, asked.gradient_batch),
                stdevs=noise * (spread or 1.0),
                target=one.targets,
                abs=False,
            )
        parts.append(mean.detach().abs().amax(1))
    maps = torch.cat(parts)
    _check_moves(asked, maps)
    return Answer(maps, {"samples": samples, "noise": noise, "seed": seed})


def guided_backprop(asked: Asked) -> Answer:
    """Find the pixels whose effect on the score is carried on by positive effects alone.

    The gradient, where each ReLU lets only what is positive back (Springenberg et al., 2014,
    arXiv:1412.6806); the largest absolute value over channels. It is sharp, but much of it are the
    edges that the first layers see: it changes little with the class, and often little with the
    weights. ReLU and ReLU6 are treated; other activation functions have their own gradient, and
    are named in a note.

    Raises:
        ModelError: the network has no ReLU.
    """
    with GuidedRectifiers() as rectifiers:
        maps = _gradients(asked).abs().amax(1)
    others = ", ".join(sorted(rectifiers.others))
    if not rectifiers.treated:
        raise ModelError(
            "guided backpropagation changes how gradients pass ReLU and ReLU6, received a network "
            f"without{f' (it has {others})' if others else ''}; use another method."
        )
    _check_moves(asked, maps)
    note = f"{others} passed gradients as it is: this method is defined for ReLUs alone."
    return Answer(maps, notes=(note,) if others else ())


def grad_cam(asked: Asked, *, layer: str | None = None, relu: bool = True) -> Answer:
    """Find where the feature maps of a layer speak for the class.

    Maps of the layer are added, each weighed by the mean of the score's gradient in it; what is
    negative is dropped, and the sum is scaled up to the image (Selvaraju et al., 2017,
    arXiv:1610.02391). It shows the place, as coarse as the layer's maps are; not which pixels,
    and nothing of what layers after it do by place.

    Args:
        asked: what is asked.
        layer: as `named_modules` has it, with outputs (N, C, h, w); by default the last one with
            maps of more than one pixel.
        relu: drop what speaks against the class.

    Raises:
        UnknownLayerError: there is no such layer, or it has no maps.
        ModelError: the network has no such maps, or no gradient comes so far back.
    """
    size = (int(asked.inputs.shape[2]), int(asked.inputs.shape[3]))
    name = layer or last_spatial_layer(asked.network, asked.inputs[:1])
    parts, small = [], (0, 0)
    for batch in asked.in_batches():
        with activations_of(asked.network, [name]) as found:
            scores = _scores(batch, batch.inputs.detach().requires_grad_())
        output = found.get(name)
        maps = None if output is None else spatial_maps(output, size)
        if output is None or maps is None:
            raise UnknownLayerError(
                f"Grad-CAM needs a layer that gives maps of more than one pixel, received "
                f"{name!r}; lamplighter.layers lists those that do as spatial."
            )
        check_finite(output, f"the activations of layer {name!r}")
        with gradients_explained(asked.network):
            (gradient,) = torch.autograd.grad(scores.sum(), output)
        slopes = spatial_maps(gradient, size)
        assert slopes is not None
        sums = (maps * slopes.mean((2, 3), keepdim=True)).sum(1, keepdim=True).detach()
        small = (int(sums.shape[2]), int(sums.shape[3]))
        sums = sums.relu() if relu else sums
        parts.append(torch.nn.functional.interpolate(sums, size, mode="bilinear")[:, 0])
    maps = torch.cat(parts)
    empty = int((maps.flatten(1).abs().amax(1) == 0).sum())
    note = (
        f"nothing in layer {name} speaks for the class in {empty} of {len(maps)} images; "
        "relu=False shows what speaks against it."
    )
    settings = {"layer": name, "layer_size": list(small), "relu": relu}
    return Answer(maps, settings, (note,) if empty and relu else ())


def occlusion(
    asked: Asked,
    *,
    window: int | tuple[int, int] | None = None,
    stride: int | tuple[int, int] | None = None,
    baseline: str | None = None,
) -> Answer:
    """Find how far the score falls when a window of the image is covered.

    The mean fall over all places of the window that cover a pixel (Zeiler and Fergus, 2014,
    arXiv:1311.2901); negative where the score rises. It needs no gradients and shows what the
    network does without that part; not parts that can stand in for one another, and nothing
    finer than the window. A cover may itself look like something.

    Args:
        asked: what is asked.
        window: height and width of the cover in pixels, or one number for both; by default a
            square of such a size that about 100 places cover the image.
        stride: from one place to the next; by default half the window.
        baseline: the cover, "black", "mean" or "blur" (see `baseline_name` for the default).
    """
    height, width = asked.inputs.shape[2:]
    place = window_over(int(height), int(width), window, stride)
    from captum.attr import Occlusion

    name = baseline_name(asked.preprocessing, baseline)
    method, channels = Occlusion(asked.network), asked.inputs.shape[1]
    parts = []
    for one in asked.one_by_one():
        falls = method.attribute(
            one.inputs,
            sliding_window_shapes=(channels, place.tall, place.wide),
            strides=(channels, place.down, place.across),
            baselines=baseline_of(one.inputs, asked.preprocessing, name),
            target=one.targets,
            perturbations_per_eval=asked.forward_batch,
        )
        parts.append(falls[:, 0].detach())  # the same in each channel
    settings = {
        "window": [place.tall, place.wide],
        "stride": [place.down, place.across],
        "baseline": name,
    }
    return Answer(torch.cat(parts), settings)


def _gradients(asked: Asked) -> Tensor:
    """Return the gradient of each image's score, shape (N, C, H, W)."""
    from captum.attr import Saliency

    method, parts = Saliency(asked.network), []
    with gradients_explained(asked.network):
        for batch in asked.in_batches():
            inputs = batch.inputs.detach().clone().requires_grad_()
            parts.append(method.attribute(inputs, target=batch.targets, abs=False).detach())
    return torch.cat(parts)


def _scores(asked: Asked, inputs: Tensor) -> Tensor:
    logits: Tensor = asked.network(inputs)
    return logits.gather(1, asked.targets[:, None])[:, 0]


def _check_moves(asked: Asked, maps: Tensor) -> None:
    """Refuse maps of which each is 0 everywhere."""
    if not bool(maps.any()):
        raise no_gradient(asked.network)
