"""Objectives of activation maximization, which add and scale like terms of algebra."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, get_args

from lamplighter.errors import ModelError, UnknownLayerError
from lamplighter.explain.hooks import spatial_maps
from lamplighter.inference.torch_runtime import shape_text
from lamplighter.models.classifier import class_index
from lamplighter.names import wrong_choice

if TYPE_CHECKING:
    from collections.abc import Mapping

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


@dataclass(frozen=True)
class Objective:
    """A weighted sum of terms; `+`, `-`, `*` by a number and `/` by one make new ones.

    Attributes:
        terms: each with its weight.
    """

    terms: tuple[tuple[float, Term], ...]

    @property
    def layers(self) -> tuple[str, ...]:
        """The names of the layers that it needs, each once."""
        return tuple(dict.fromkeys(term.layer for _, term in self.terms if term.layer is not None))

    @property
    def classes(self) -> tuple[str | int, ...]:
        """The classes that it is to make more likely."""
        return tuple(
            term.name for weight, term in self.terms if isinstance(term, ClassTerm) and weight > 0
        )

    @property
    def needs_classes(self) -> bool:
        """Whether it depends on the scores of classes."""
        return any(isinstance(term, ClassTerm) for _, term in self.terms)

    def __call__(self, values: Values) -> Tensor:
        """Return its value for each image, shape (N,).

        Raises:
            UnknownClassError: the classifier has no class of a name.
            UnknownLayerError: a layer has no channel of a number, or no places.
        """
        parts = [weight * term.value(values) for weight, term in self.terms]
        total = parts[0]
        for part in parts[1:]:
            total = total + part
        return total

    def __add__(self, other: object) -> Objective:
        if other == 0 and not isinstance(other, Objective):  # what sum() begins with
            return self
        if not isinstance(other, Objective):
            return NotImplemented
        return Objective(self.terms + other.terms)

    __radd__ = __add__

    def __mul__(self, factor: object) -> Objective:
        if isinstance(factor, bool) or not isinstance(factor, int | float):
            return NotImplemented
        return Objective(tuple((factor * weight, term) for weight, term in self.terms))

    __rmul__ = __mul__

    def __truediv__(self, divisor: object) -> Objective:
        if isinstance(divisor, bool) or not isinstance(divisor, int | float):
            return NotImplemented
        return self * (1 / divisor)

    def __neg__(self) -> Objective:
        return self * -1

    def __sub__(self, other: object) -> Objective:
        if not isinstance(other, Objective):
            return NotImplemented
        return self + -other

    def __str__(self) -> str:
        text = ""
        for weight, term in self.terms:
            factor = "" if abs(weight) == 1 else f"{abs(weight):g} * "
            sign = ("-" if weight < 0 else "") if not text else (" - " if weight < 0 else " + ")
            text += f"{sign}{factor}{term}"
        return text


def class_(name: str | int, *, score: Score = "logit") -> Objective:
    """Return the objective that an image be of a class.

    Args:
        name: of the class, or its number from 0.
        score: "logit", which grows with what speaks for the class; "odds", the logarithm of
            p / (1 - p), which grows also with what speaks against the others; or "probability",
            which does too, and hardly moves once it is near 0 or 1.

    Raises:
        ModelError: there is no such score.
    """
    if score not in get_args(Score):
        raise ModelError(wrong_choice("score", score, get_args(Score)))
    return Objective(((1.0, ClassTerm(name, score)),))


def neuron(layer: str, channel: int, y: int | None = None, x: int | None = None) -> Objective:
    """Return the objective that one neuron of a layer be large.

    Args:
        layer: as `named_modules` has it.
        channel: from 0.
        y: row in the layer's maps; by default the middle one. A layer without places has none.
        x: column.
    """
    return Objective(((1.0, NeuronTerm(layer, channel, y, x)),))


def channel(layer: str, channel: int) -> Objective:
    """Return the objective that a channel of a layer be large, on average over its places.

    Args:
        layer: as `named_modules` has it.
        channel: from 0.
    """
    return Objective(((1.0, ChannelTerm(layer, channel)),))


def layer(name: str) -> Objective:
    """Return the objective that all of a layer be large: the mean of its squares (DeepDream).

    Args:
        name: as `named_modules` has it.
    """
    return Objective(((1.0, LayerTerm(name)),))


def checked(objective: Objective | str) -> Objective:
    """Return an objective; a text is the name of a class.

    Raises:
        ModelError: it is neither.
    """
    if isinstance(objective, str):
        return class_(objective)
    received: object = objective  # whatever the types say
    if not isinstance(received, Objective) or not received.terms:
        raise ModelError(
            "what is to be maximised must be an objective, such as objectives.class_('7'), or the "
            f"name of a class, received {objective!r:.80}."
        )
    return received
