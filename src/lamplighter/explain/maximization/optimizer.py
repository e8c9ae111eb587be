"""Gradient ascent on an image (activation maximization)."""

from __future__ import annotations

import contextlib
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import torch
from torch import nn

from lamplighter.errors import ModelError
from lamplighter.explain.hooks import activations_of, forward_pass, untouched
from lamplighter.explain.maximization.objectives import Values
from lamplighter.inference.torch_runtime import device_of
from lamplighter.names import wrong_choice

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from torch import Tensor

    from lamplighter.explain.maximization.objectives import Objective
    from lamplighter.explain.maximization.parameterization import Parameterisation
    from lamplighter.explain.maximization.transforms import Transform
    from lamplighter.models.classifier import Classifier

_KINDS = (nn.ReLU, nn.ReLU6)


class _Redirected(torch.autograd.Function):
    """A rectifier's output, whose gradient never dies wholly for an image."""

    @staticmethod
    def forward(context: Any, inputs: Tensor, output: Tensor, ceiling: float) -> Tensor:
        context.save_for_backward(inputs)
        context.ceiling = ceiling
        return output.clone()

    @staticmethod
    def backward(context: Any, *gradients: Tensor) -> tuple[Tensor, None, None]:
        (gradient,), (inputs,) = gradients, context.saved_tensors
        off, full = inputs <= 0, inputs >= context.ceiling
        plain = gradient.masked_fill(off | full, 0)
        dead = plain.flatten(1).abs().amax(1) == 0  # (N,)
        if not dead.any():
            return plain, None, None
        # A larger output is wanted where the gradient is positive: off units may be pushed up
        # only, full ones down only, for the other way they can never answer.
        helps = (off & (gradient > 0)) | (full & (gradient < 0)) | ~(off | full)
        rescued = gradient * helps
        return torch.where(dead.reshape(-1, *[1] * (inputs.ndim - 1)), rescued, plain), None, None


@contextlib.contextmanager
def redirected(network: nn.Module) -> Iterator[None]:
    """Let the ReLUs of `network` pass a gradient for images for which they pass none.

    A unit that is off for the whole of an image, or a ReLU6 that is full, has no gradient, and an
    ascent that begins there would never move. For such an image alone, and as long as it is so,
    the gradient of what is to be maximised goes through wherever it leads out of the flat part.
    All other gradients and all outputs are as they are. Within `hooks.untouched` only, which
    keeps rectifiers from working in place.
    """
    with contextlib.ExitStack() as hung:
        for module in network.modules():
            if isinstance(module, _KINDS):
                hung.callback(module.register_forward_hook(_hook).remove)
        yield


def _hook(module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> Tensor:
    ceiling = 6.0 if isinstance(module, nn.ReLU6) else float("inf")
    redirected_output: Tensor = _Redirected.apply(inputs[0], output, ceiling)
    return redirected_output


Optimiser = Literal["adam", "gradient"]
_OPTIMISERS: dict[str, type[torch.optim.Adam | torch.optim.SGD]] = {
    "adam": torch.optim.Adam,
    "gradient": torch.optim.SGD,
}
_DEAD = 16  # steps without any gradient after which there will be none


@dataclass(frozen=True, kw_only=True)
class Settings:
    """How an ascent goes; see `lamplighter.maximise`.

    Raises:
        ModelError: a setting is out of range.
    """

    steps: int
    learning_rate: float
    optimiser: Optimiser
    transforms: tuple[Transform, ...]
    total_variation: float
    l2: float
    views: int

    def __post_init__(self) -> None:
        check_count("steps", self.steps)
        check_count("views", self.views)
        check_number("total_variation", self.total_variation)
        check_number("l2", self.l2)
        check_number("learning_rate", self.learning_rate)
        if self.learning_rate == 0:
            raise ModelError("learning_rate must be above 0, received 0; try 0.05.")
        if self.optimiser not in _OPTIMISERS:
            raise ModelError(wrong_choice("optimiser", self.optimiser, _OPTIMISERS))


class Look:
    """What a network makes of images, and how large their objectives are.

    Args:
        classifier: the network and its preprocessing.
        network: its torch network.
        outputs: where hooks leave what layers compute.
        objectives: one for each image.
    """

    def __init__(
        self,
        classifier: Classifier,
        network: nn.Module,
        *,
        outputs: Mapping[str, Tensor],
        objectives: Sequence[Objective],
    ) -> None:
        self.objectives = objectives
        self._network = network
        self._outputs = outputs
        self._class_names = classifier.class_names
        wanted = classifier.preprocessing
        self._size = (wanted.height, wanted.width)
        device = device_of(network)
        self.mean = torch.tensor(wanted.mean, device=device).reshape(-1, 1, 1)
        self._std = torch.tensor(wanted.std, device=device).reshape(-1, 1, 1)

    def __call__(self, images: Tensor, when: str) -> tuple[Tensor, Tensor]:
        """Return the value of each objective (N,) and the logits (N, K).

        Args:
            images: in 0..1, shape (N, C, H, W).
            when: such as "in step 3", for the error.

        Raises:
            ModelError: a value is not finite.
        """
        logits = forward_pass(self._network, (images - self.mean) / self._std)
        values = Values(logits, self._outputs, self._class_names, self._size)
        scores = torch.cat(
            [one(values.of(slice(row, row + 1))) for row, one in enumerate(self.objectives)]
        )
        for number, one in enumerate(self.objectives):
            if not scores[number].isfinite() or not logits[number].isfinite().all():
                raise _not_finite(one, when)
        return scores, logits


@contextlib.contextmanager
def looking(
    classifier: Classifier, network: nn.Module, objectives: Sequence[Objective]
) -> Iterator[Look]:
    """Give a `Look` at the network, which is left as it was.

    Raises:
        UnknownLayerError: the network has no layer that an objective needs.
    """
    names = list(dict.fromkeys(name for one in objectives for name in one.layers))
    with (
        untouched(network),
        redirected(network),  # before the next, so that what is kept is redirected
        activations_of(network, names) as outputs,
    ):
        yield Look(classifier, network, outputs=outputs, objectives=objectives)
        outputs.clear()


def ascend(
    look: Look,
    free: Parameterisation,
    *,
    settings: Settings,
    generator: torch.Generator,
    progress: Callable[[int, int], None] | None = None,
) -> Tensor:
    """Change `free` so that its images make their objectives large.

    Returns:
        Value of each objective in each step, for the images as they were moved, (steps, N).

    Raises:
        ModelError: a value is not finite, or an objective does not depend on the image.
    """
    optimiser = _OPTIMISERS[settings.optimiser]([free.parameters], lr=settings.learning_rate)
    moving = torch.zeros(len(look.objectives), dtype=torch.bool, device=look.mean.device)
    history = []
    for step in range(1, settings.steps + 1):
        images = free.images()  # (N, C, H, W)
        pixels = images.detach().requires_grad_()
        scores, gradient = _uphill(look, pixels, settings, generator, f"in step {step}")
        moving |= gradient.flatten(1).any(1)
        if step == min(_DEAD, settings.steps) and not moving.all():
            raise _dead(look.objectives[int((~moving).nonzero()[0])])
        down = prior_gradient(pixels, look.mean, settings) - unit(gradient)
        (free.parameters.grad,) = torch.autograd.grad(images, free.parameters, down)
        optimiser.step()
        free.project()
        history.append(scores)
        if progress is not None:
            progress(step, settings.steps)
    return torch.stack(history)


def total_variation(images: Tensor) -> Tensor:
    """Return how much neighbouring pixels differ: the sum of absolute differences, (N,).

    Mahendran and Vedaldi (2015, arXiv:1412.0035), with an exponent of 1 and each direction for
    itself, which leaves edges sharp.

    Args:
        images: shape (N, C, H, W).
    """
    down = (images[:, :, 1:] - images[:, :, :-1]).abs().flatten(1).sum(1)
    right = (images[:, :, :, 1:] - images[:, :, :, :-1]).abs().flatten(1).sum(1)
    return down + right


def prior_gradient(images: Tensor, mean: Tensor, settings: Settings) -> Tensor:
    """Return the gradient of what the priors hold against images, shape (N, C, H, W)."""
    if not settings.total_variation and not settings.l2:
        return torch.zeros_like(images)
    held = settings.total_variation * total_variation(images)
    held = held + settings.l2 * (images - mean).square().flatten(1).sum(1)
    (gradient,) = torch.autograd.grad(held.sum(), images)
    return gradient


def unit(gradient: Tensor) -> Tensor:
    """Return a gradient (N, C, H, W) whose mean absolute value is 1 for each image, or 0."""
    size = gradient.abs().mean((1, 2, 3), keepdim=True)
    return gradient / torch.where(size > 0, size, 1.0)


def check_count(name: str, value: object) -> None:
    """Refuse what is no whole number of at least 1.

    Raises:
        ModelError: it is not.
    """
    if type(value) is not int or value < 1:
        raise ModelError(f"{name} must be a whole number of at least 1, received {value!r}.")


def check_number(name: str, value: object) -> None:
    """Refuse what is no finite number of at least 0.

    Raises:
        ModelError: it is not.
    """
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < math.inf:
        raise ModelError(f"{name} must be a finite number of at least 0, received {value!r}.")


def _uphill(
    look: Look, pixels: Tensor, settings: Settings, generator: torch.Generator, when: str
) -> tuple[Tensor, Tensor]:
    """Return scores (N,) and their gradient (N, C, H, W), the mean over all views."""
    total, gradient = 0.0 * pixels.detach()[:, 0, 0, 0], torch.zeros_like(pixels)
    for _ in range(settings.views):
        seen = pixels
        for transform in settings.transforms:
            seen = transform(seen, generator)
        scores, _ = look(seen, when)
        (part,) = torch.autograd.grad(
            scores.sum(), pixels, allow_unused=True, materialize_grads=True
        )
        total, gradient = total + scores.detach(), gradient + part
    for number, one in enumerate(look.objectives):
        if not gradient[number].isfinite().all():
            raise _not_finite(one, when)
    return total / settings.views, gradient / settings.views


def _not_finite(objective: Objective, when: str) -> ModelError:
    return ModelError(
        f"the network's values must be finite, received NaN or infinity {when} of maximising "
        f"{objective}; its weights may be damaged, or take a lower learning rate."
    )


def _dead(objective: Objective) -> ModelError:
    return ModelError(
        f"no change of the image changes {objective}: its gradient is 0 everywhere; the unit may "
        "be dead, or its value may come in steps, as from votes. Choose another."
    )
