"""Networks, heads and strategies by name: Lamplighter's, registered ones, and those of plug-ins.

A plug-in is a distribution that offers them as entry points, by the name that they have in a
bundle. Nothing of it is imported before the name is asked for::

    [project.entry-points."lamplighter.networks"]
    wide-cnn = "acme_nets:WideCNN"
"""

from __future__ import annotations

import functools
import importlib
import inspect
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, TypeVar, get_args, overload

from lamplighter.errors import (
    ArgumentError,
    LamplighterError,
    ModelError,
    PluginError,
    UnknownModelError,
)
from lamplighter.names import suggestion, unknown_name, wrong_choice

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from importlib.metadata import EntryPoint

    from torch import nn

Kind = Literal["network", "head", "strategy"]
_B = TypeVar("_B", bound="Callable[..., Any]")

# How a builder of each kind is called, before the arguments of its own.
_CALLS = {
    "network": ("num_classes", "in_chans", "img_size"),
    "head": ("num_features", "num_classes"),
    "strategy": ("vectors", "labels", "num_classes"),
}
_GROUPS = {
    "network": "lamplighter.networks",
    "head": "lamplighter.heads",
    "strategy": "lamplighter.strategies",
}


@dataclass(frozen=True)
class ModelEntry:
    """A network, head or strategy in the registry.

    Attributes:
        load: returns its builder, which is imported only then.
        summary: its layers in one line.
        plugin: where it comes from, as a sentence names it; None of Lamplighter's own.
    """

    load: Callable[[], Callable[..., Any]]
    summary: str = ""
    plugin: str | None = None


def _own(module: str, class_name: str, summary: str = "") -> ModelEntry:
    def load() -> Callable[..., nn.Module]:
        builder: Callable[..., nn.Module]
        builder = getattr(importlib.import_module(f"lamplighter.models.{module}"), class_name)
        return builder

    return ModelEntry(load, summary)


_NETWORKS = {
    "simple-cnn": _own("cnn", "SimpleCNN", "conv 5x5x32, pool, dropout 0.2, dense 128, out"),
    "better-cnn": _own(
        "cnn",
        "BetterCNN",
        "conv 5x5x30, pool, conv 3x3x15, pool, dropout 0.2, dense 128, dense 50, out",
    ),
    "branch-cnn": _own(
        "cnn",
        "BranchCNN",
        "1x1 and 5x5 branches of 16 maps, added; pool, dropout 0.2, dense 128, out",
    ),
    "residual-cnn": _own(
        "branching", "ResidualCNN", "three residual blocks of 16, 32 and 64 maps, average, out"
    ),
    "inception-cnn": _own(
        "branching", "InceptionCNN", "two inception blocks of 32 and 64 maps, average, out"
    ),
    "quick-cnn": _own(
        "cnn",
        "QuickCNN",
        "three convolutions with batch normalisation, out; for a good score in seconds",
    ),
    "champion": _own(
        "cnn",
        "ChampionCNN",
        "five convolutions with batch normalisation, dropout 0.3, out; for the best score",
    ),
}
# Networks that are not started from nothing; found by their name, and not listed.
_UNLISTED = {
    "pretrained": _own("pretrained", "PretrainedNetwork", "a backbone of timm, and a head")
}
_HEADS = {
    "knn": _own("heads", "KNNHead"),
    "svm": _own("heads", "SVMHead"),
    "linear": _own("heads", "LinearHead"),
}
# Of transfer learning; their code is in `lamplighter.transfer.strategies`.
STRATEGIES = {
    "knn": "a vote of the nearest training images",
    "svm": "a support vector machine on the features",
    "linear": "a linear classifier on the features",
    "head": "a new last layer, by gradient descent",
    "blocks": "the last block and the head; all other layers are frozen",
    "full": "every layer; earlier layers with lower learning rates",
}


def _of_its_own() -> Callable[..., Any]:
    raise ModelError("the strategies of Lamplighter are climbed by climb_ladder, by their names.")


_OWN: dict[str, dict[str, ModelEntry]] = {
    "network": _NETWORKS | _UNLISTED,
    "head": _HEADS,
    "strategy": {name: ModelEntry(_of_its_own, text) for name, text in STRATEGIES.items()},
}
_registered: dict[str, dict[str, ModelEntry]] = {kind: {} for kind in _OWN}


@overload
def register(
    name: str, builder: None = None, *, kind: Kind = "network", summary: str = ""
) -> Callable[[_B], _B]: ...


@overload
def register(name: str, builder: _B, *, kind: Kind = "network", summary: str = "") -> _B: ...


def register(
    name: str, builder: _B | None = None, *, kind: Kind = "network", summary: str = ""
) -> _B | Callable[[_B], _B]:
    """Make a network, head or strategy of your own known by a name.

    From then on `Classifier.new(name, ...)` builds it, and a bundle of it, which keeps the name
    and the arguments, gives its torch network wherever the name is registered too: by the same
    call, or by a plug-in, a distribution with the entry point `name` in the group
    "lamplighter.networks" or "lamplighter.heads" ("lamplighter.strategies"). The ONNX graph in a
    bundle needs neither. A strategy is one more rung for `climb_ladder(..., rungs=[name])`.

    Used without `builder` it decorates a class or function. What the same module has registered by
    that name before is replaced, so that a cell of a notebook may run again.

    Args:
        name: letters, digits, ".", "_" and "-".
        builder: returns a `torch.nn.Module`. Of a network it is called as
            `builder(num_classes, in_chans, img_size, **arguments)` and maps images (N, C, H, W) to
            logits (N, K); of a head, as `builder(num_features, num_classes, **arguments)`, and
            maps features (N, D) to logits. The arguments must be plain JSON types. A strategy is
            called as `builder(vectors, labels, num_classes)`, with features (N, D) and their
            classes (N,) as numpy has them, and returns the `HeadWeights` that it has learned.
        kind: "network", "head" or "strategy".
        summary: its layers, or what it does, in one line.

    Returns:
        The builder, or what takes it as a decorator.

    Raises:
        ArgumentError: the name is no such name or taken, or the builder cannot be called so.

    Example:
        >>> from torch import nn
        >>> @register("one-layer", summary="flatten, out")
        ... def one_layer(num_classes, in_chans, img_size):
        ...     pixels = in_chans * img_size[0] * img_size[1]
        ...     return nn.Sequential(nn.Flatten(), nn.Linear(pixels, num_classes))
    """
    if kind not in get_args(Kind):
        raise ArgumentError(wrong_choice("kind", kind, get_args(Kind)))
    if type(name) is not str or not re.fullmatch(r"[\w.-]+", name):
        raise ArgumentError(
            f'the name of a {kind} is made of letters, digits, ".", "_" and "-", received {name!r}.'
        )
    if builder is None:
        return functools.partial(_register, name, kind=kind, summary=summary)
    return _register(name, builder, kind=kind, summary=summary)


def _register(name: str, builder: _B, *, kind: Kind, summary: str) -> _B:
    _check_builder(name, builder, kind)
    module = getattr(builder, "__module__", None) or "__main__"
    plugin = "a script or notebook" if module == "__main__" else f"the module {module}"
    known = _registered[kind].get(name)
    if name in _OWN[kind] or (known is not None and known.plugin != plugin):
        owner = known.plugin if known is not None else "Lamplighter"
        raise ArgumentError(
            f"the {kind} {name!r} is there already, from {owner}; choose another name."
        )
    _registered[kind][name] = ModelEntry(lambda: builder, summary, plugin)
    return builder


def _check_builder(name: str, builder: object, kind: Kind) -> None:
    """Refuse what cannot be called as a builder of this kind is."""
    called = f"builder({', '.join(_CALLS[kind])})"
    is_network = hasattr(builder, "state_dict") and not inspect.isclass(builder)
    if is_network or not callable(builder):
        raise ArgumentError(
            f"the {kind} {name!r} needs a class or function that is called as {called}, received a "
            f"{type(builder).__name__}; give the class, not a network."
        )
    try:
        signature = inspect.signature(builder)
    except ValueError:  # of C, which tells nothing
        return
    try:
        signature.bind_partial(*_CALLS[kind])
    except TypeError:
        raise ArgumentError(
            f"the {kind} {name!r} is called as {called}, received a builder that takes {signature}."
        ) from None


def list_models() -> dict[str, str]:
    """Return the names of the networks that can be trained from nothing, each with its layers.

    Those that are registered and those of plug-ins follow those that come with Lamplighter. No
    plug-in is imported: of its networks is said where they come from.
    """
    found = {name: entry.summary for name, entry in _NETWORKS.items()}
    found |= {name: entry.summary for name, entry in _registered["network"].items()}
    for point in _offered("network"):
        found.setdefault(point.name, f"from {_source(point)}")
    return found


def list_strategies() -> dict[str, str]:
    """Return the names of the strategies that a ladder can have as rungs, with what each does."""
    found = STRATEGIES | {name: entry.summary for name, entry in _registered["strategy"].items()}
    for point in _offered("strategy"):
        found.setdefault(point.name, f"from {_source(point)}")
    return found


def find(name: str, *, listed: bool = False, kind: Kind = "network") -> ModelEntry:
    """Return the network or head of this name; one of a plug-in is not imported yet.

    Args:
        name: of the network or head.
        listed: whether it must be one of `list_models()`, which can be trained from nothing.
        kind: "network", "head" or "strategy".

    Raises:
        UnknownModelError: there is none; the message suggests a near name.
        PluginError: two plug-ins offer one of this name.
    """
    entry = None if listed and name in _UNLISTED else _OWN[kind].get(name)
    entry = entry or _registered[kind].get(name)
    if entry is not None:
        return entry
    offered = [] if name in _OWN[kind] else [one for one in _offered(kind) if one.name == name]
    sources = sorted({_source(point) for point in offered})
    if len(sources) > 1:
        raise PluginError(
            f"the {kind} {name!r} is offered by {' and by '.join(sources)}; uninstall one of them."
        )
    if offered:
        return ModelEntry(functools.partial(_loaded, kind, offered[0]), plugin=sources[0])
    known = list_models() if kind == "network" else [*_OWN[kind], *_registered[kind]]
    raise UnknownModelError(unknown_name(kind, name, known))


def missing(name: str, arguments: Mapping[str, Any]) -> str | None:
    """Return what is not known here of what a bundle names, such as "the network 'wide-cnn'".

    Args:
        name: of its network.
        arguments: of its network; one of them may name a head.
    """
    kind, wanted = _foreign(name, arguments)
    try:
        find(wanted, kind=kind)
    except UnknownModelError:
        return f"the {kind} {wanted!r}"
    except PluginError:  # it is there, and told of where it is built
        pass
    return None


def plugin_of(name: str, arguments: Mapping[str, Any]) -> str | None:
    """Return where a network comes from, or its head, that is none of Lamplighter's own."""
    kind, wanted = _foreign(name, arguments)
    return find(wanted, kind=kind).plugin


def build(
    name: str,
    *,
    num_classes: int,
    in_chans: int,
    img_size: tuple[int, int],
    **arguments: Any,
) -> nn.Module:
    """Return a new network with random weights.

    Args:
        name: one of `list_models()`.
        num_classes: K, the number of classes.
        in_chans: channels of the images.
        img_size: height and width of the images.
        arguments: what else its class takes, such as `dropout`.

    Raises:
        UnknownModelError: there is no network of that name.
        PluginError: it is of a plug-in that does not load.
        ModelError: its class does not take these arguments, or returns no network.
        ShapeError: the images are too small for it.
    """
    builder = find(name).load()
    try:
        network = builder(num_classes, in_chans, img_size, **arguments)
    except LamplighterError:
        raise
    except (TypeError, ValueError) as error:
        told = _unknown_argument(builder, arguments) or f"{error}."
        raise ModelError(f"{name} does not take these arguments: {told}") from error
    return checked_module("network", name, network)


def checked_module(kind: Kind, name: str, built: object) -> nn.Module:
    """Return what a builder has returned, which must be a module of torch.

    Raises:
        ModelError: it is none.
    """
    from torch import nn

    if not isinstance(built, nn.Module):
        raise ModelError(
            f"the builder of the {kind} {name!r} must return a torch.nn.Module, received a "
            f"{type(built).__name__}."
        )
    return built


def _foreign(name: str, arguments: Mapping[str, Any]) -> tuple[Kind, str]:
    """Return which part of a network may be from elsewhere: its head, where it is pretrained."""
    if name == "pretrained":
        return "head", str(arguments.get("head", "linear"))
    return "network", name


def _offered(kind: Kind) -> Iterable[EntryPoint]:
    from importlib import metadata  # slow to import, and not needed for Lamplighter's own

    return metadata.entry_points(group=_GROUPS[kind])


def _source(point: EntryPoint) -> str:
    distribution = point.dist
    if distribution is None:
        return f"an entry point of {point.value}"
    return f"the package {distribution.name} {distribution.version}"


def _loaded(kind: Kind, point: EntryPoint) -> Callable[..., nn.Module]:
    told = f"the {kind} {point.name!r} of {_source(point)} does not load"
    try:
        builder = point.load()
    except Exception as error:  # whatever the code of others raises as it is imported
        first = (str(error).strip().splitlines() or ["no message"])[0].rstrip(".")
        raise PluginError(
            f"{told}: {type(error).__name__}: {first}; update that package, or uninstall it."
        ) from error
    try:
        _check_builder(point.name, builder, kind)
    except ArgumentError as error:
        raise PluginError(f"{told}: {error}") from error
    checked: Callable[..., nn.Module] = builder
    return checked


def _unknown_argument(builder: Callable[..., Any], arguments: Mapping[str, Any]) -> str:
    """Return what is said of the first argument that a builder lacks, "" if it has all."""
    parameters = list(inspect.signature(builder).parameters.values())
    known = [one.name for one in parameters[3:]]  # beyond classes, channels and size
    unknown = [argument for argument in arguments if argument not in known]
    takes_any = any(one.kind is one.VAR_KEYWORD for one in parameters)
    if takes_any or not unknown:
        return ""
    return f"{unknown[0]!r} is none of them; {suggestion(unknown[0], known, opening='it has')}"
