"""What objectives are sums of: one number for each image, from what a network computes."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from operator import index
from typing import TYPE_CHECKING, Literal

from lamplighter.errors import UnknownClassError, UnknownLayerError
from lamplighter.explain.hooks import spatial_maps
from lamplighter.inference.torch_runtime import shape_text
from lamplighter.names import unknown_name

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from torch import Tensor

Score = Literal["logit", "odds", "probability"]


@dataclass(frozen=True)
class Values:
    """What a network computed for a batch of N images.

    Attributes:
        logits: shape (N, K).
        layers: output of each layer that is needed, by its name, shape (N, ...).
        class_names: K names, in the order of the logits.
        image_size: height and width of the images.
    """

    logits: Tensor
    layers: Mapping[str, Tensor]
    class_names: tuple[str, ...]
    image_size: tuple[int, int]

    def of(self, rows: slice) -> Values:
        """Return the values for some of the images."""
        layers = {name: output[rows] for name, output in self.layers.items()}
        return Values(self.logits[rows], layers, self.class_names, self.image_size)


class Term(ABC):
    """One thing to be made large; `Objective` adds and scales them."""

    @property
    def layer(self) -> str | None:
        """The layer whose output it needs, or None if the logits suffice."""
        return None

    @abstractmethod
    def value(self, values: Values) -> Tensor:
        """Return how large it is for each image, shape (N,)."""


def class_index(class_names: Sequence[str], name: str | int) -> int:
    """Return the number of a class, given by name or by number.

    Raises:
        UnknownClassError: there is none; the message names near ones.
    """
    if isinstance(name, str):
        if name in class_names:
            return list(class_names).index(name)
        raise UnknownClassError(unknown_name("class", name, class_names))
    number = _whole(name)
    if number is None or not 0 <= number < len(class_names):
        raise UnknownClassError(
            f"a class is given by its name or by a number from 0 to {len(class_names) - 1}, "
            f"received {name!r}."
        )
    return number


@dataclass(frozen=True)
class ClassTerm(Term):
    """How much speaks for a class: its logit, the logarithm of its odds, or its probability."""

    name: str | int
    score: Score = "logit"

    def value(self, values: Values) -> Tensor:
        """Return how large it is for each image, shape (N,)."""
        index, logits = class_index(values.class_names, self.name), values.logits
        if self.score == "probability":
            return logits.softmax(1)[:, index]
        if self.score == "logit":
            return logits[:, index]
        others = [number for number in range(logits.shape[1]) if number != index]
        return logits[:, index] - logits[:, others].logsumexp(1)

    def __str__(self) -> str:
        return f"class {self.name}" + ("" if self.score == "logit" else f" ({self.score})")


@dataclass(frozen=True)
class ChannelTerm(Term):
    """The mean of a channel over its places."""

    place: str
    channel: int

    @property
    def layer(self) -> str:
        """The layer whose output it needs."""
        return self.place

    def value(self, values: Values) -> Tensor:
        """Return how large it is for each image, shape (N,)."""
        found = _channel_of(values, self.place, self.channel)  # (N, ...)
        return found.flatten(1).mean(1) if found.ndim > 1 else found

    def __str__(self) -> str:
        return f"{self.place} channel {self.channel}"


@dataclass(frozen=True)
class NeuronTerm(Term):
    """One place of a channel, the middle one if none is named."""

    place: str
    channel: int
    y: int | None
    x: int | None

    @property
    def layer(self) -> str:
        """The layer whose output it needs."""
        return self.place

    def value(self, values: Values) -> Tensor:
        """Return how large it is for each image, shape (N,)."""
        found = _channel_of(values, self.place, self.channel)  # (N,), (N, T) or (N, H', W')
        if found.ndim == 1 and self.y is None and self.x is None:
            return found
        if found.ndim != 3:
            raise UnknownLayerError(
                f"a neuron at a row and column needs a layer with spatial maps, but {self.place!r} "
                f"gives {shape_text(_output(values, self.place).shape[1:])} for an image; leave "
                "the place out, or choose a convolution."
            )
        row, column = (
            size // 2 if index is None else index
            for index, size in zip((self.y, self.x), found.shape[1:], strict=True)
        )
        if not (0 <= row < found.shape[1] and 0 <= column < found.shape[2]):
            raise UnknownLayerError(
                f"the maps of {self.place!r} are {found.shape[1]} x {found.shape[2]}: rows 0 to "
                f"{found.shape[1] - 1}, columns 0 to {found.shape[2] - 1}; received row {row}, "
                f"column {column}."
            )
        return found[:, row, column]

    def __str__(self) -> str:
        where = "" if self.y is None and self.x is None else f" at {self.y},{self.x}"
        return f"{self.place} neuron {self.channel}{where}"


@dataclass(frozen=True)
class LayerTerm(Term):
    """The mean square of a layer's output."""

    place: str

    @property
    def layer(self) -> str:
        """The layer whose output it needs."""
        return self.place

    def value(self, values: Values) -> Tensor:
        """Return how large it is for each image, shape (N,)."""
        return _output(values, self.place).flatten(1).square().mean(1)

    def __str__(self) -> str:
        return f"layer {self.place}"


def _output(values: Values, name: str) -> Tensor:
    output = values.layers.get(name)
    if output is None:
        raise UnknownLayerError(
            f"layer {name!r} gives no tensor when the network answers; choose another layer."
        )
    return output


def _channel_of(values: Values, name: str, number: int) -> Tensor:
    """Return one channel of a layer: (N,) of features, (N, T) of tokens, (N, H', W') of maps."""
    output = _output(values, name)
    if output.ndim == 4:
        maps = spatial_maps(output, values.image_size)
        output = output if maps is None else maps
    axis = 2 if output.ndim == 3 else 1  # tokens (N, T, D) have their channels last
    if output.ndim not in (2, 3, 4):
        raise UnknownLayerError(
            f"layer {name!r} gives {shape_text(output.shape[1:])} for an image, which has no "
            "channels; choose another layer."
        )
    count = output.shape[axis]
    if type(number) is not int or not 0 <= number < count:
        raise UnknownLayerError(
            f"layer {name!r} has channels 0 to {count - 1}, received {number!r}."
        )
    return output.select(axis, number)


def _whole(number: object) -> int | None:
    """Return a whole number, of Python, numpy or torch; None for anything else."""
    try:
        return None if isinstance(number, bool) else index(number)  # type: ignore[arg-type]
    except TypeError:
        return None
