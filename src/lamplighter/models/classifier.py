"""`Classifier`: a network, its preprocessing and the names of its classes."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from operator import index
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from lamplighter.datasets.image_data import check_strings
from lamplighter.errors import ClassCountError, ModelError, UnknownClassError
from lamplighter.images.preprocessing import Preprocessing
from lamplighter.models import registry
from lamplighter.names import unknown_name

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    import numpy as np
    from numpy.typing import NDArray
    from torch import Tensor, nn

    from lamplighter.datasets.image_data import ImageData
    from lamplighter.models.head_weights import HeadWeights
    from lamplighter.models.reliability import Trust

Precision = Literal["fp32", "int8"]

# How many images of the data a classifier keeps to prove its exports on.
SAMPLES = 32


@dataclass(frozen=True)
class Architecture:
    """How to build a network anew: a name in the registry and what its class is given.

    Attributes:
        name: one of `lamplighter.list_models()`.
        arguments: what its class takes beyond classes, channels and size.
        plugin: where its bundle says that it, or its head, comes from; None of a network of
            Lamplighter's own, or that was not loaded.
    """

    name: str
    arguments: Mapping[str, Any] = field(default_factory=dict)
    plugin: str | None = field(default=None, compare=False)


@dataclass
class Record:
    """Where a classifier comes from and how well it did; all values are plain JSON types.

    Attributes:
        recipe: how it was trained.
        data: the fingerprint of each split that it met.
        scores: for each split, what was measured, with its interval.
    """

    recipe: dict[str, Any] = field(default_factory=dict)
    data: dict[str, str] = field(default_factory=dict)
    scores: dict[str, Any] = field(default_factory=dict)

    @property
    def learned_splits(self) -> tuple[str, ...]:
        """The splits that were learned from: "train" and, after a refit, others."""
        refitted = self.recipe.get("refitted")
        splits = refitted.get("splits") if isinstance(refitted, dict) else None
        others = splits if isinstance(splits, list) else []
        return ("train", *(split for split in map(str, others) if split != "train"))


class Classifier:
    """A network with all that is needed to use it.

    Everything after training takes a Classifier: evaluating, saving, explaining, serving.

    Args:
        network: maps images (N, C, H, W) to logits (N, K).
        preprocessing: how an image becomes the network's input.
        class_names: K names, in the order of the logits.
        architecture: how to build the network anew; None for a network of your own.
        record: where it comes from.
        samples: a few real images, uint8 of shape (M, C, H, W), that an export is proven on.

    Attributes:
        trust: how its probabilities are scaled and what it calls unknown, for the weights that
            the network has; None at first. `lamplighter.add_trust` measures it.
        backbone_graph: an ONNX model of a network whose features may be those of this one, such
            as the one that it came with; a save that proves it so need not export them anew.
        joined_head: the new head that `graph` was joined from, with `backbone_graph`; what is to
            be proven of such a graph is this head alone. None of any other graph.
        precision: "int8" where `graph` computes with 8-bit integers; what `to_torch` returns
            computes in float32 always.
        source: the file that it was loaded from, to be named in errors; None of any other.
        proof: what its source said of how `graph` was proven, "images" and "max_difference", which
            a save takes over where it cannot prove it again. None of any other.
        missing: what its bundle said of a network that only its owner can build. None of any
            other.

    Raises:
        ClassCountError: names repeat or are no strings, or there are fewer than two.
        ModelError: the network or the preprocessing is something else.
    """

    def __init__(
        self,
        network: nn.Module,
        preprocessing: Preprocessing,
        class_names: Sequence[str],
        *,
        architecture: Architecture | None = None,
        record: Record | None = None,
        samples: NDArray[np.uint8] | None = None,
    ) -> None:
        _check_parts(network, preprocessing, class_names)
        self._network: nn.Module | None = network
        self._build: Callable[[], nn.Module] | None = None
        self._state: Callable[[], Mapping[str, NDArray[Any]]] | None = None
        self._graph: bytes | None = None
        self._read: nn.Module | None = None  # built to be looked at, while a graph answers
        self._built: str | None = None  # the weights that a network was built with, as a digest
        self.preprocessing = preprocessing
        self.class_names = tuple(class_names)
        self.architecture = architecture
        self.record = record or Record()
        self.samples = samples
        self.trust: Trust | None = None
        self.backbone_graph: bytes | None = None
        self.joined_head: HeadWeights | None = None
        self.precision: Precision = "fp32"
        self.source: str | None = None
        self.proof: Mapping[str, Any] | None = None
        self.missing: Mapping[str, Any] | None = None
        check_strings(self.class_names, ClassCountError)
        if len(self.class_names) < 2 or len(set(self.class_names)) != len(self.class_names):
            raise ClassCountError(
                "a classifier needs two or more class names, all different, "
                f"received {list(self.class_names)}."
            )

    @classmethod
    def new(
        cls,
        name: str,
        data: ImageData | None = None,
        *,
        preprocessing: Preprocessing | None = None,
        class_names: Sequence[str] | None = None,
        **arguments: Any,
    ) -> Classifier:
        """Return an untrained classifier with a network from the registry.

        Args:
            name: one of `lamplighter.list_models()`, or what `lamplighter.register` was given.
            data: where preprocessing and class names are taken from unless given.
            preprocessing: how an image becomes the network's input.
            class_names: K names, in the order of the logits.
            arguments: what else the network takes, such as `dropout`.

        Raises:
            UnknownModelError: there is no network of that name.
            ModelError: neither data nor both preprocessing and class names are given.
        """
        if data is not None:
            preprocessing = preprocessing or data.preprocessing
            class_names = class_names or data.trained_class_names
        if preprocessing is None or class_names is None:
            raise ModelError(
                "Classifier.new needs the data to be classified, or preprocessing= and "
                "class_names=; of these something is missing."
            )
        architecture = Architecture(name, arguments)
        network = build_network(architecture, preprocessing, len(class_names))
        samples = None
        if data is not None and data.splits:
            samples = next(iter(data.splits.values())).images[:SAMPLES]
        return cls(network, preprocessing, class_names, architecture=architecture, samples=samples)

    @classmethod
    def from_graph(
        cls,
        graph: bytes | None,
        build: Callable[[], nn.Module],
        preprocessing: Preprocessing,
        class_names: Sequence[str],
        *,
        state: Callable[[], Mapping[str, NDArray[Any]]] | None = None,
        architecture: Architecture | None = None,
        record: Record | None = None,
    ) -> Classifier:
        """Return a classifier that runs an ONNX graph until `to_torch` is called.

        Args:
            graph: an ONNX model, images (N, C, H, W) to logits (N, K); None where there is none:
                then the torch network is built for the first answer.
            build: makes the torch network of the same weights.
            preprocessing: how an image becomes the network's input.
            class_names: K names, in the order of the logits.
            state: gives the weights that the graph computes with by name, as the network's
                `state_dict` would, always the same ones, as arrays; None where only the network can
                tell, or the graph computes with others, such as 8-bit integers.
            architecture: how to build the network anew; None for a network of your own.
            record: where it comes from.
        """
        classifier = cls.__new__(cls)
        # The network is absent until it is asked for; all else is as for a new classifier.
        Classifier.__init__(
            classifier,
            None,  # type: ignore[arg-type]
            preprocessing,
            class_names,
            architecture=architecture,
            record=record,
        )
        classifier._build = build
        classifier._state = state
        classifier._graph = graph
        return classifier

    @property
    def network(self) -> nn.Module:
        """The torch network that this classifier answers with.

        Raises:
            ModelError: it answers with an ONNX graph; `to_torch` changes that.
            NetworkMissingError: the network is of a class that Lamplighter does not know.
        """
        if self._graph is not None:
            raise ModelError(
                "this classifier answers with its ONNX graph, which a change to a torch network "
                "would not reach; call .to_torch() for the network, with which it answers from "
                "then on, or .read_network() to look at one."
            )
        return self.to_torch()

    def to_torch(self) -> nn.Module:
        """Answer with the torch network from now on instead of an ONNX graph, and return it.

        This is the step before training or changing a classifier that was loaded from a bundle.

        Raises:
            NetworkMissingError: the network is of a class that Lamplighter does not know.
        """
        if self._network is None:
            self._network = self.read_network()
            self.backbone_graph, self._graph = self._graph, None
            self._state = self.joined_head = self._read = None
            self.precision = "fp32"
            self._built = weights_digest(self._network)
        return self._network

    def read_network(self) -> nn.Module:
        """Return a torch network of these weights to look at: for gradients, hooks or an export.

        What the classifier answers with stays the same. Where that is an ONNX graph, a change to
        this network would not reach the answers: use `to_torch` before a change.

        Raises:
            NetworkMissingError: the network is of a class that Lamplighter does not know.
        """
        if self._network is not None:
            return self._network
        if self._read is None:
            assert self._build is not None
            self._read = self._build()
        return self._read

    @property
    def knows_weights(self) -> bool:
        """Whether it runs a graph and can tell its weights without building the network."""
        return self._state is not None

    def weights(self) -> Mapping[str, Tensor]:
        """Return all that the network has learned by name, as its `state_dict` does.

        Raises:
            NetworkMissingError: the network is of a class that Lamplighter does not know.
        """
        if self._state is None:
            return self.read_network().state_dict()
        import torch

        return {name: torch.tensor(value) for name, value in self._state().items()}

    def weight_arrays(self) -> Mapping[str, NDArray[Any]]:
        """Return `weights` as numpy arrays, without torch where the network is not needed for it.

        Raises:
            ModelError: something in the network's `state_dict` is no tensor.
            NetworkMissingError: the network is of a class that Lamplighter does not know.
        """
        if self._state is not None:
            return self._state()
        return {name: _array(name, value) for name, value in self.weights().items()}

    @property
    def graph(self) -> bytes | None:
        """The ONNX graph that this classifier runs, or None if it runs its torch network."""
        return self._graph

    @property
    def unchanged_graph(self) -> bytes | None:
        """The ONNX graph that this classifier was made of, while its weights are still the same."""
        if self._graph is not None or self._built is None:
            return self._graph
        same = weights_digest(self.network) == self._built
        return self.backbone_graph if same else None

    @property
    def num_classes(self) -> int:
        """K, the number of classes."""
        return len(self.class_names)

    def __repr__(self) -> str:
        name = self.architecture.name if self.architecture else "a network of its own"
        return f"Classifier({name}, {self.num_classes} classes, {self.preprocessing.describe()})"


def _check_parts(network: object, preprocessing: object, class_names: object) -> None:
    """Refuse what others have in the places of a classifier's parts."""
    if isinstance(network, str):
        raise ModelError(
            f"a classifier is made of a network, received the name {network!r}; "
            f"Classifier.new({network!r}, data) makes one of a network by name."
        )
    if not isinstance(preprocessing, Preprocessing):
        raise ModelError(
            "a classifier needs a Preprocessing, so that it can open images by itself, received "
            f"a {type(preprocessing).__name__}; say how images are prepared with "
            "Preprocessing(height=..., width=..., mean=..., std=...)."
        )
    if isinstance(class_names, int):
        raise ClassCountError(
            f"class_names must be a list of names in the order of the logits, received "
            f"{class_names!r}; of numbered classes: list('0123456789')."
        )


def check_classifier(value: object, needed_by: str) -> None:
    """Refuse what is no Classifier, and say how to make one of it.

    Args:
        value: what was given for one.
        needed_by: the name of the function that it was given to.

    Raises:
        ModelError: it is none.
    """
    if isinstance(value, Classifier):
        return
    received = f"{needed_by} takes a Classifier, received a {type(value).__name__}"
    if isinstance(value, str | Path):
        raise ModelError(f"{received}; load the bundle first: load({str(value)!r}).")
    raise ModelError(
        f"{received}; make one of a network: Classifier(network, Preprocessing(height=..., "
        "width=...), class_names), with the preprocessing it was trained with."
    )


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


def _whole(number: object) -> int | None:
    """Return a whole number, of Python, numpy or torch; None for anything else."""
    try:
        return None if isinstance(number, bool) else index(number)  # type: ignore[arg-type]
    except TypeError:
        return None


def _array(name: str, value: object) -> NDArray[Any]:
    """Return a tensor as an array; what numpy has no type for, such as bfloat16, as float32."""
    import torch

    if not isinstance(value, torch.Tensor):
        raise ModelError(
            f"the state of a network must be tensors, received {name}, a "
            f"{type(value).__name__}; remove get_extra_state from its module."
        )
    held = value.detach().cpu().contiguous()
    try:
        array: NDArray[Any] = held.numpy()
    except TypeError:
        array = held.float().numpy()
    return array


def weights_digest(network: nn.Module) -> str:
    """Return a SHA-256 of the names and values of all that a network has learned."""
    digest = hashlib.sha256()
    for name, tensor in network.state_dict().items():
        digest.update(name.encode())
        digest.update(tensor.detach().float().cpu().contiguous().numpy().data)
    return digest.hexdigest()


def build_network(
    architecture: Architecture, preprocessing: Preprocessing, num_classes: int
) -> nn.Module:
    """Return a new network of this architecture that fits the preprocessing and classes."""
    return registry.build(
        architecture.name,
        num_classes=num_classes,
        in_chans=preprocessing.channels,
        img_size=(preprocessing.height, preprocessing.width),
        **architecture.arguments,
    )
