"""What an image is to bring about: a class, a neuron, a channel, a layer, or sums of these.

Objectives add and scale: `class_("7") - 0.5 * class_("1") + channel("features.3", 4)`. Each knows
the layers it needs and gives one number for each image; what `maximise` makes large.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, get_args

from lamplighter.errors import ModelError
from lamplighter.explain.terms import ChannelTerm, ClassTerm, LayerTerm, NeuronTerm, Score
from lamplighter.explain.terms import class_index as class_index
from lamplighter.names import wrong_choice

if TYPE_CHECKING:
    from torch import Tensor

    from lamplighter.explain.terms import Term, Values


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
