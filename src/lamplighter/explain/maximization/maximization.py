"""Activation maximization of a neuron, a channel, a layer or a class.

Gradient ascent on the image (Erhan et al., 2009, "Visualizing higher-layer features of a deep
network"), with what makes the result a picture rather than noise: a spectrum instead of pixels,
random movements, and priors (Olah et al., 2017, doi:10.23915/distill.00007; total variation after
Mahendran and Vedaldi, 2015, arXiv:1412.0035).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from lamplighter.errors import ModelError
from lamplighter.explain.attribution.requests import shares_of
from lamplighter.explain.hooks import network_of, voting_head
from lamplighter.explain.images import to_rgb
from lamplighter.explain.maximization.objectives import Objective, checked
from lamplighter.explain.maximization.optimizer import (
    Look,
    Optimiser,
    Settings,
    ascend,
    check_count,
    check_number,
    looking,
)
from lamplighter.explain.maximization.parameterization import Bounds, Kind, Parameterisation
from lamplighter.explain.maximization.transforms import Transform, default_transforms
from lamplighter.explain.style import image_grid
from lamplighter.inference.torch_runtime import device_of
from lamplighter.models.classifier import class_index

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from matplotlib.figure import Figure
    from numpy.typing import NDArray
    from torch import Tensor, nn

    from lamplighter.models.classifier import Classifier

# Weights of total variation and L2 for grey images, and for colours.
_PRIORS = {1: (0.2, 0.1), 3: (0.02, 0.0)}
_VIEWS = {1: 4, 3: 1}  # small grey images are quick, and more looks make them hold elsewhere
# The settings of plain gradient ascent on pixels: maximise(classifier, objective, **PLAIN).
PLAIN: dict[str, Any] = {
    "learning_rate": 0.01,
    "optimiser": "gradient",
    "parameterisation": "pixel",
    "bounds": "clamp",
    "transforms": (),
    "total_variation": 0.0,
    "l2": 0.0,
    "views": 1,
}


@dataclass(frozen=True)
class Maximised:
    """What `maximise` found: N images, each for its objective.

    Attributes:
        images: uint8, shape (N, C, H, W).
        objectives: what each is for, in words, such as "class 7".
        scores: value of the objective for the image as it is, float32, shape (N,).
        probabilities: that the image is of the class that was asked for, says the network;
            NaN where the objective was not one class; float32, shape (N,).
        history: value of the objective in each step, for the image as it was moved there,
            float32, shape (steps, N).
    """

    images: NDArray[np.uint8]
    objectives: tuple[str, ...]
    scores: NDArray[np.float32]
    probabilities: NDArray[np.float32]
    history: NDArray[np.float32]

    def __len__(self) -> int:
        return len(self.images)


def maximise(
    classifier: Classifier,
    objective: Objective | str | Sequence[Objective | str],
    *,
    steps: int = 256,
    learning_rate: float = 0.05,
    optimiser: Optimiser = "adam",
    parameterisation: Kind = "fourier",
    bounds: Bounds = "sigmoid",
    transforms: Sequence[Transform] | None = None,
    total_variation: float | None = None,
    l2: float | None = None,
    noise: float = 0.01,
    views: int | None = None,
    copies: int = 1,
    batch_size: int = 16,
    seed: int = 0,
    progress: Callable[[int, int], None] | None = None,
) -> Maximised:
    """Return images that make an objective large, by gradient ascent on the image.

    The image begins as the preprocessing's mean with a little noise. In each step the gradient of
    the objective is brought to a mean absolute value of 1 for each image, so that the priors weigh
    the same whatever the objective is. Several objectives are optimised together, each for an
    image of its own: which others there are makes no difference to an image. The classifier is
    left as it was, and random numbers of torch are not used up.

    `maximise(classifier, objective, **PLAIN)` is plain gradient ascent on pixels.

    Args:
        classifier: any, with a torch network.
        objective: see `lamplighter.objectives`; a text is the name of a class. Or several.
        steps: of the ascent, at least 1.
        learning_rate: of Adam in the space of the parameterisation; with "gradient", how far the
            pixels go in a step, on average.
        optimiser: "adam" or "gradient", the step that follows the gradient alone.
        parameterisation: "fourier", a spectrum scaled by 1/f in decorrelated colours; or "pixel".
        bounds: how pixels are kept valid: "sigmoid" or "clamp".
        transforms: random changes before each look, in their order; by default small turns,
            scalings and movements, for photos (64 pixels and more) small turns and windows of
            half to all of the image.
        total_variation: weight of the prior that neighbouring pixels are alike; by default 0.2
            for grey images, 0.02 for colours.
        l2: weight of the prior that pixels are near the preprocessing's mean; by default 0.1 for
            grey images, whose ground is plain, and 0 for colours, which it would fade.
        noise: standard deviation of the start.
        views: looks in each step, each with random changes of its own, whose mean counts; by
            default 4 for grey images and 1 for colour.
        copies: images for each objective, from different noise.
        batch_size: images that are optimised at a time, which memory limits.
        seed: of all that is random; the same seed gives the same images.
        progress: called with (steps done, of how many).

    Raises:
        UnknownClassError: there is no class of a name; the message names near ones.
        UnknownLayerError: there is no such layer, channel or place in it.
        ModelError: a setting is out of range; the network's values are not finite, or nothing in
            the image moves the objective, as where votes of neighbours decide.
        NetworkMissingError: the torch network cannot be built.
    """
    network = network_of(classifier)
    wanted = classifier.preprocessing
    usual = _PRIORS[wanted.channels]
    settings = Settings(
        steps=steps,
        learning_rate=learning_rate,
        optimiser=optimiser,
        transforms=_transforms(transforms, classifier),
        total_variation=total_variation if total_variation is not None else usual[0],
        l2=l2 if l2 is not None else usual[1],
        views=views if views is not None else _VIEWS[wanted.channels],
    )
    check_count("copies", copies)
    check_count("batch_size", batch_size)
    check_number("noise", noise)
    objectives = _objectives(objective)
    _check_head(network, objectives)
    generator = torch.Generator().manual_seed(_checked_seed(seed))
    start = Parameterisation(
        copies,
        (wanted.channels, wanted.height, wanted.width),
        kind=parameterisation,
        bounds=bounds,
        mean=wanted.mean,
        noise=noise,
        generator=generator,
    )
    moves = generator.get_state()
    tasks = [(one, row) for one in objectives for row in range(copies)]
    found = []
    for first in range(0, len(tasks), batch_size):
        each, rows = zip(*tasks[first : first + batch_size], strict=True)
        free = start.taken(rows, device_of(network))
        generator.set_state(moves)  # so that each batch is moved alike
        told = _told(progress, first // batch_size, -(-len(tasks) // batch_size))
        with looking(classifier, network, each) as look:
            history = ascend(look, free, settings=settings, generator=generator, progress=told)
            found.append(_found(look, free, history, classifier))
    return _together(found)


def plot_maximised(maximised: Maximised, *, title: str = "") -> Figure:
    """Return maximised images side by side, each with its objective and what came of it.

    Beneath the objective stands the probability of the class that was asked for, or the value of
    the objective where it was not one class.

    Args:
        maximised: what `maximise` returned.
        title: stands above all.

    Raises:
        MissingPackageError: matplotlib is not installed.
    """
    titles = []
    for words, score, probability in zip(
        maximised.objectives, maximised.scores, maximised.probabilities, strict=True
    ):
        known = np.isfinite(probability)
        titles.append(f"{words}\n{probability:.3f}" if known else f"{words}\nvalue {score:.3g}")
    return image_grid(list(to_rgb(maximised.images)), titles=titles, title=title)


def _told(
    progress: Callable[[int, int], None] | None, done: int, batches: int
) -> Callable[[int, int], None] | None:
    """Return what tells the progress of all batches, of which so many are done."""
    if progress is None:
        return None
    return lambda step, steps: progress(done * steps + step, batches * steps)


def _found(
    look: Look, free: Parameterisation, history: Tensor, classifier: Classifier
) -> Maximised:
    """Return what an ascent has come to, as 8-bit images and how they do."""
    images = (free.images().detach() * 255).round().to(torch.uint8)  # (N, C, H, W)
    with torch.no_grad():
        scores, logits = look(images.float() / 255, "at the end")
    return Maximised(
        images.cpu().numpy(),
        tuple(str(one) for one in look.objectives),
        scores.cpu().numpy(),
        _probabilities(logits, look.objectives, classifier),
        history.cpu().numpy(),
    )


def _together(parts: Sequence[Maximised]) -> Maximised:
    return Maximised(
        np.concatenate([part.images for part in parts]),
        tuple(words for part in parts for words in part.objectives),
        np.concatenate([part.scores for part in parts]),
        np.concatenate([part.probabilities for part in parts]),
        np.concatenate([part.history for part in parts], axis=1),
    )


def _objectives(objective: Objective | str | Sequence[Objective | str]) -> list[Objective]:
    if isinstance(objective, str | Objective):
        return [checked(objective)]
    if not isinstance(objective, list | tuple) or not objective:
        raise ModelError(
            "what is to be maximised must be an objective, the name of a class, or a list of "
            f"these, received {objective!r:.80}."
        )
    return [checked(one) for one in objective]


def _transforms(
    transforms: Sequence[Transform] | None, classifier: Classifier
) -> tuple[Transform, ...]:
    if transforms is None:
        wanted = classifier.preprocessing
        return default_transforms(wanted.height, wanted.width)
    listed = isinstance(transforms, list | tuple)
    if not listed or not all(callable(transform) for transform in transforms):
        raise ModelError(
            "transforms must be a list of functions of images and a random generator, such as "
            f"[Jitter(4)], received {transforms!r:.80}."
        )
    return tuple(transforms)


def _checked_seed(seed: object) -> int:
    if type(seed) is not int or not 0 <= seed < 2**32:
        raise ModelError(f"seed must be a whole number in 0..{2**32 - 1}, received {seed!r}.")
    return seed


def _check_head(network: nn.Module, objectives: Sequence[Objective]) -> None:
    """Refuse classes that neighbours vote for: a vote has no useful gradient."""
    if voting_head(network) is not None and any(one.needs_classes for one in objectives):
        raise ModelError(
            "a class needs a head with a gradient to be maximised, received one where the nearest "
            "neighbours vote; maximise a layer or channel of its network, or fit a linear or SVM "
            "head instead."
        )


def _probabilities(
    logits: Tensor, objectives: Sequence[Objective], classifier: Classifier
) -> NDArray[np.float32]:
    """Return the probability of the class that each objective names, NaN where it is not one."""
    shares = shares_of(logits, classifier).cpu().numpy()  # (N, K)
    found = np.full(len(objectives), np.nan, dtype=np.float32)
    for number, one in enumerate(objectives):
        if len(one.classes) == 1:
            found[number] = shares[number, class_index(classifier.class_names, one.classes[0])]
    return found
