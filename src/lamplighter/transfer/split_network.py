"""Cutting a network in two: what is frozen is computed once, the rest is trained on it."""

from __future__ import annotations

import contextlib
import math
import tempfile
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import torch
from torch import nn

from lamplighter.datasets.batches import Batches
from lamplighter.errors import ModelError, OutputError, TrainingError
from lamplighter.inference.runtime import device_of, evaluating
from lamplighter.inference.torch_runtime import images_at_once
from lamplighter.models.classifier import check_classifier
from lamplighter.training.labels import by_name
from lamplighter.transfer.freezing import check_chain, freeze, is_frozen, members_of, places_of

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from numpy.typing import NDArray
    from torch import Tensor

    from lamplighter.datasets.image_data import ImageData
    from lamplighter.images.preprocessing import Preprocessing
    from lamplighter.models.classifier import Classifier

_IN_MEMORY = 2 * 2**30  # bytes


class CutNetwork:
    """A network in two parts that share its modules; the older part is frozen.

    Args:
        network: a chain of stages, as for `stages`.
        after: the last stage of the older part, named as for `freeze`.
        sample: images (N, C, H, W), which prove that the two parts are the network.

    Attributes:
        head_part: images (N, C, H, W) -> activations (N, ...), the stages up to the cut.
        tail_part: activations (N, ...) -> logits (N, K), the stages from the cut on.

    Raises:
        UnknownLayerError: the network has no such stage.
        ModelError: it is no chain there, or nothing comes after the cut.
    """

    def __init__(self, network: nn.Module, after: str, sample: Tensor) -> None:
        self.network = network
        self.after = after
        self.head_part, self.tail_part = _parts(network, after, sample)
        freeze(network, until=after)
        self.head_part.eval()

    def __repr__(self) -> str:
        return f"CutNetwork({type(self.network).__name__}, after {self.after})"


class CutBatches(Batches):
    """Batches of activations at a cut, in the order in which `Batches` gives the images.

    Args:
        images: the images, uint8, shape (N, C, H, W); by them a trial knows its data.
        labels: class indices, int64, shape (N,).
        activations: float32, shape (N, ...).
        arguments: as for `Batches`, without augmentation.
    """

    def __init__(
        self,
        images: NDArray[np.uint8],
        labels: NDArray[np.int64],
        *,
        activations: NDArray[np.float32],
        **arguments: Any,
    ) -> None:
        super().__init__(images, labels, **arguments)
        self.activations = activations

    def inputs(self, chosen: Tensor) -> Tensor:
        """Return the activations of the images at `chosen` (B,), shape (B, ...)."""
        return torch.from_numpy(np.asarray(self.activations[chosen.numpy()]))


def cut_batches(
    classifier: Classifier,
    data: ImageData,
    split: str,
    cut: CutNetwork,
    *,
    batch_size: int = 128,
    seed: int = 0,
    balance: Literal["none", "sampler"] = "none",
    **arguments: Any,
) -> CutBatches:
    """Return the activations of a split at a cut, as batches to train the tail on.

    ::

        cut = CutNetwork(classifier.to_torch(), "backbone", sample)
        train = cut_batches(classifier, data, "train", cut, seed=7)
        Trial(cut.tail_part, optimizer, criterion, seed=7).with_generators(train).run(10)

    gives the weights that training the whole network with `Trial.with_images(data)` gives, since
    the tail is part of it.

    Args:
        classifier: whose network is cut.
        data: images of its size; classes are matched by name.
        split: which of them; "train" is shuffled.
        cut: the network of the classifier, cut.
        batch_size: images in a batch.
        seed: of the shuffling.
        balance: "sampler" draws training images so that all classes are equally likely.
        arguments: as for `activations`.

    Raises:
        ClassCountError: a training image is of a class that the classifier does not know.
        OutputError: the activations do not fit on the disk.
    """
    check_classifier(classifier, "cut_batches")
    chosen = by_name(classifier, data, split)
    preprocessing = classifier.preprocessing
    return CutBatches(
        chosen.images,
        chosen.labels,
        activations=activations(cut, chosen.images, preprocessing, **arguments),
        batch_size=batch_size,
        shuffle=split == "train",
        seed=seed,
        preprocessing=preprocessing,
        balanced=split == "train" and balance == "sampler",
    )


def activations(
    cut: CutNetwork,
    images: NDArray[np.uint8],
    preprocessing: Preprocessing,
    *,
    batch_size: int = 64,
    limit: int = _IN_MEMORY,
    folder: str | Path | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> NDArray[np.float32]:
    """Return what the frozen part of a network makes of images.

    Args:
        cut: the network.
        images: pixels, uint8, shape (N, C, H, W).
        preprocessing: how they are normalised.
        batch_size: images in one forward pass at most; of large ones it takes fewer.
        limit: bytes; more than these go to a temporary file, which ends with the array.
        folder: where that file is; by default the system's folder for them.
        progress: told how many images are done, and of how many.

    Returns:
        float32 of shape (N, ...).

    Raises:
        TrainingError: part of the older part is no longer frozen, or there are no images.
        OutputError: the activations do not fit on the disk.
    """
    if not len(images):
        raise TrainingError("there are no images to compute activations of.")
    if not all(is_frozen(module) for module in cut.head_part.modules() if _has_state(module)):
        raise TrainingError(
            f"the stages up to {cut.after} must be frozen, and were unfrozen; cut the network "
            "anew, further towards the images."
        )
    first = _forward(cut, preprocessing.normalise(images[:1]))
    shape = (len(images), *first.shape[1:])
    in_memory = math.prod(shape) * 4 <= limit
    results = np.empty(shape, dtype=np.float32) if in_memory else None
    opened: Any = contextlib.nullcontext() if in_memory else _temporary_file(folder)
    with opened as file:
        count = min(batch_size, images_at_once(images.shape))
        for start in range(0, len(images), count):
            made = _forward(cut, preprocessing.normalise(images[start : start + count]))
            if results is not None:
                results[start : start + len(made)] = made
            else:
                _append(file, made, folder)
            if progress is not None:
                progress(start + len(made), len(images))
        if results is None:
            results = np.memmap(file, dtype=np.float32, mode="r", shape=shape)
    return results


def _parts(network: nn.Module, after: str, sample: Tensor) -> tuple[nn.Sequential, nn.Sequential]:
    """Return the network before and after a cut, proven to be all of it."""
    chain = members_of(network)
    last = max(places_of(chain, after))
    if last == len(chain) - 1:
        raise ModelError(
            f"a cut must leave stages to train after it, and {after!r} is the last of "
            f"{', '.join(name for name, _ in chain)}; cut before it."
        )
    older, newer = (
        [module for _, members in part for module in members.values()]
        for part in (chain[: last + 1], chain[last + 1 :])
    )
    try:
        check_chain(network, [*older, *newer], sample)
    except ModelError:
        # A backbone that is no chain inside, such as a transformer, is one with its head.
        children = dict(network.named_children())
        before, behind = (
            {name.partition(".")[0] for name, _ in part}
            for part in (chain[: last + 1], chain[last + 1 :])
        )
        if before & behind or not before <= children.keys():
            raise
        older = [child for name, child in children.items() if name in before]
        newer = [child for name, child in children.items() if name not in before]
        check_chain(network, [*older, *newer], sample)
    parts = nn.Sequential(*older), nn.Sequential(*newer)
    for part in parts:  # a wrapper has a mode of its own
        part.training = network.training
    return parts


def _forward(cut: CutNetwork, inputs: NDArray[np.float32]) -> NDArray[np.float32]:
    device = device_of(cut.head_part)
    with evaluating(cut.head_part), torch.inference_mode():
        made: NDArray[np.float32] = (
            cut.head_part(torch.from_numpy(inputs).to(device)).float().cpu().numpy()
        )
    return made


def _temporary_file(folder: str | Path | None) -> Any:
    """Return a file that has no name, and ends with what uses it, also after a kill."""
    try:
        return tempfile.TemporaryFile(dir=folder, buffering=0)
    except OSError as error:
        raise _no_room(folder, error) from error


def _append(file: Any, made: NDArray[np.float32], folder: str | Path | None) -> None:
    content = np.ascontiguousarray(made).data.cast("B")
    try:
        while content:  # without a buffer it may take a part
            content = content[file.write(content) :]
    except OSError as error:
        raise _no_room(folder, error) from error


def _no_room(folder: str | Path | None, error: OSError) -> OutputError:
    return OutputError(
        f"the activations cannot be written to {folder or tempfile.gettempdir()}: "
        f"{error.strerror or error}; free some space, or cut nearer to the end of "
        "the network."
    )


def _has_state(module: nn.Module) -> bool:
    own = (module.parameters(recurse=False), module.buffers(recurse=False))
    return any(True for tensors in own for _ in tensors)
