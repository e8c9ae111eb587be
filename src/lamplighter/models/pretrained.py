"""Pretrained networks of timm, by their names there."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from lamplighter.errors import MissingPackageError, ModelError, UnknownModelError
from lamplighter.images.preprocessing import Preprocessing
from lamplighter.models.classifier import Architecture, Classifier, Record
from lamplighter.models.fetching import BUNDLED, USUAL, fetched, ignore_missing_widgets
from lamplighter.models.heads import build_head
from lamplighter.names import either, near_names, unknown_name

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from torch import Tensor

    from lamplighter.images.preprocessing import Fit


def distinct_names(synonyms: Sequence[str], definitions: Sequence[str]) -> tuple[str, ...]:
    """Return a name for each class: its first synonym, or more where another has the same.

    >>> distinct_names(["crane", "crane", "tench, Tinca tinca"], ["a bird", "a machine", "a fish"])
    ('crane: a bird', 'crane: a machine', 'tench')

    Args:
        synonyms: for each class what it may be called, with commas between, K texts.
        definitions: what it is, K texts; not all of name and definition are alike.
    """
    short = [text.split(",")[0].strip() for text in synonyms]
    often, alike = Counter(short), Counter(synonyms)
    names = []
    for name, text, definition in zip(short, synonyms, definitions, strict=True):
        if often[name] == 1:
            names.append(name)
        elif text != name and alike[text] == 1:
            names.append(text)
        else:
            names.append(f"{text}: {definition}")
    return tuple(names)


_FITS: dict[str, Fit] = {"center": "crop", "squash": "squash", "border": "letterbox"}
_CLOSE = 1e-3  # of logits of some ten


class PretrainedNetwork(nn.Module):
    """A backbone of timm that gives features, and a head that makes logits of them.

    Args:
        num_classes: K, the number of classes.
        in_chans: channels of the images.
        img_size: height and width of the images.
        backbone: "efficientnet-lite0", "efficientnet-lite2", or any name of timm; its weights are
            random here.
        head: the kind of head, see `lamplighter.models.heads`.
        head_arguments: what else this kind of head takes.

    Attributes:
        backbone: images (N, C, H, W) -> features (N, D).
        head: features (N, D) -> logits (N, K).
        num_features: D.

    Raises:
        UnknownModelError: timm has no network of that name.
        ModelError: the backbone does not give one vector for each image.
    """

    def __init__(
        self,
        num_classes: int = 1000,
        in_chans: int = 3,
        img_size: tuple[int, int] = (224, 224),
        *,
        backbone: str,
        head: str = "linear",
        **head_arguments: Any,
    ) -> None:
        super().__init__()
        self.backbone = _timm_model(
            backbone, num_classes=0, in_chans=in_chans, **_size_arguments(backbone, img_size)
        )
        self.num_features: int = self.backbone.head_hidden_size
        self.head = build_head(head, self.num_features, num_classes, **head_arguments)

    def forward(self, images: Tensor) -> Tensor:
        """Return the logits (N, K) of `images` (N, C, H, W)."""
        logits: Tensor = self.head(self.backbone(images))
        return logits


def pretrained_classifier(
    name: str, *, size: int | tuple[int, int] | None = None, fit: Fit | None = None
) -> Classifier:
    """Return a network of timm with the weights that it was trained to, and its classes.

    Args:
        name: any name of timm, such as "resnet50"; its weights are fetched from the internet once.
        size: height and width of the images in pixels, or one number for both; by default as
            the network was trained.
        fit: what happens to an image of another aspect ratio; by default as timm evaluates it.

    Raises:
        UnknownModelError: there is no network of that name; the message suggests a near one.
        DownloadError: its weights cannot be fetched.
        ModelError: its weights are not safe to load, or it has no classes.
        MissingPackageError: timm is not installed.
    """
    check_pretrained(name)
    config = dict(_config(name))
    height, width = _size(size, config)
    own_fit = _FITS[config["crop_mode"]]
    preprocessing = Preprocessing(
        height=height,
        width=width,
        channels=3,
        mean=tuple(config["mean"]),
        std=tuple(config["std"]),
        fit=fit or own_fit,
        interpolation=config["interpolation"],
        crop_pct=config["crop_pct"] if fit in (None, own_fit) and own_fit == "crop" else 1.0,
    )
    names = class_names_of(config)
    architecture = Architecture("pretrained", {"backbone": name})
    with torch.random.fork_rng(devices=[]):  # no random number of the caller's is used up
        network = PretrainedNetwork(len(names), 3, (height, width), backbone=name)
        _load_weights(network, name, (height, width))
    record = Record(
        recipe={
            "weights": str(config.get("hf_hub_id") or config.get("url")),
            "license": config.get("license"),
        }
    )
    return Classifier(
        network.eval(), preprocessing, names, architecture=architecture, record=record
    )


def check_pretrained(name: str) -> None:
    """Refuse the name of a network that cannot become a pretrained classifier.

    Raises:
        UnknownModelError: there is no network of that name, or no weights for it.
        ModelError: it was trained without classes.
        MissingPackageError: timm is not installed.
    """
    if not _config(name).get("num_classes"):
        raise ModelError(
            f"a classifier needs classes, but {name} was trained without; choose a network such "
            f"as {USUAL} or resnet50."
        )


def _config(name: str) -> Mapping[str, Any]:
    """Return how timm says that images are prepared for `name`, and what it was trained on."""
    timm_name = _known(name)
    from timm.data.config import resolve_data_config
    from timm.models import get_pretrained_cfg

    known: Any = get_pretrained_cfg(timm_name)
    if known is None or not known.has_weights:
        raise UnknownModelError(
            f"timm has a network {name!r} but no weights for it; choose another, such as {USUAL}."
        )
    resolve: Any = resolve_data_config  # it has no types
    config: dict[str, Any] = known.to_dict() | resolve(pretrained_cfg=known.to_dict())
    return config


def class_names_of(config: Mapping[str, Any]) -> tuple[str, ...]:
    """Return what the classes are called: in words where timm has them, else by number.

    Args:
        config: what timm says of a pretrained network.
    """
    from timm.data.imagenet_info import ImageNetInfo, infer_imagenet_subset

    given = config.get("label_names")
    if given and len(set(given)) == config["num_classes"]:
        return tuple(given)
    subset = infer_imagenet_subset(dict(config))
    if subset is None:
        return tuple(f"class {index}" for index in range(config["num_classes"]))
    told = ImageNetInfo(subset)
    synonyms, whole = list(told.label_descriptions()), told.label_descriptions(detailed=True)
    definitions = [text[len(name) + 2 :] for name, text in zip(synonyms, whole, strict=True)]
    return distinct_names(synonyms, definitions)


def _size(size: int | tuple[int, int] | None, config: Mapping[str, Any]) -> tuple[int, int]:
    if size is None:
        return tuple(config["input_size"][1:])
    return (size, size) if isinstance(size, int) else (size[0], size[1])


def _load_weights(network: PretrainedNetwork, name: str, img_size: tuple[int, int]) -> None:
    """Put the weights of `name` into the backbone and the linear head of `network`."""
    sizes = _size_arguments(name, img_size)
    whole = fetched(name, lambda: _timm_model(name, pretrained=True, **sizes))
    weight, bias = _last_layer(whole, name)
    state = whole.state_dict()
    network.backbone.load_state_dict({key: state[key] for key in network.backbone.state_dict()})
    dense = next(module for module in network.head.modules() if isinstance(module, nn.Linear))
    with torch.no_grad():
        dense.weight.copy_(weight)
        dense.bias.copy_(bias)
    _check_same(network.eval(), whole.eval(), name, img_size)


def _last_layer(whole: Any, name: str) -> tuple[Tensor, Tensor]:
    """Return weights (K, D) and bias (K,) of the layer that makes logits of features."""
    layer = whole.get_classifier()
    dense = isinstance(layer, nn.Linear)
    if not dense and not (isinstance(layer, nn.Conv2d) and layer.kernel_size == (1, 1)):
        raise ModelError(
            f"the classes of {name} are told by a {type(layer).__name__}, but one dense layer is "
            f"needed; choose another network, such as {USUAL} or resnet50."
        )
    weight = layer.weight.detach().flatten(1)
    bias = torch.zeros(len(weight)) if layer.bias is None else layer.bias.detach()
    return weight, bias


def _check_same(network: nn.Module, whole: nn.Module, name: str, img_size: tuple[int, int]) -> None:
    """Refuse a network whose backbone and dense layer are not all of it."""
    generator = torch.Generator().manual_seed(0)
    images = torch.randn(2, 3, *img_size, generator=generator)
    with torch.no_grad():
        expected, received = whole(images), network(images)
    if expected.shape != received.shape or not torch.allclose(expected, received, atol=_CLOSE):
        raise ModelError(
            f"{name} is more than a backbone and one dense layer, and cannot be used; choose "
            f"another network, such as {USUAL} or resnet50."
        )


def load_timm() -> Any:
    """Return timm, which takes seconds to import.

    Raises:
        MissingPackageError: it is not installed.
    """
    ignore_missing_widgets()
    try:
        import timm
    except ModuleNotFoundError as error:
        raise MissingPackageError.of("a pretrained network", error) from error
    return timm


def _timm_model(name: str, **arguments: Any) -> Any:
    """Return a new network of timm."""
    return load_timm().create_model(_known(name), **arguments)


def _size_arguments(name: str, img_size: tuple[int, int]) -> dict[str, Any]:
    """Return what tells networks of one size alone, such as transformers, which size it is."""
    timm_name = _known(name)
    from timm.models import get_pretrained_cfg

    config = get_pretrained_cfg(timm_name)
    if config is None or not config.fixed_input_size:
        return {}
    return {"img_size": img_size}


def _known(name: str) -> str:
    """Return what timm calls the network `name`.

    Raises:
        UnknownModelError: timm does not know it.
    """
    timm = load_timm()
    timm_name = BUNDLED.get(name, name)
    architecture, _, weights = timm_name.partition(".")
    if ":" not in timm_name and timm.is_model(timm_name):
        if not weights or timm.is_model_pretrained(timm_name):
            return timm_name
        tagged = timm.list_models(f"{architecture}.*", pretrained=True)
        known = [one.partition(".")[2] for one in tagged]
        raise UnknownModelError(unknown_name(f"{architecture} with the weights", weights, known))
    near = [*near_names(name, list(BUNDLED)), *near_names(name, timm.list_models(), most=2)]
    hint = f"did you mean {either(near)}?" if near else f"{USUAL} comes with Lamplighter."
    raise UnknownModelError(f"there is no pretrained network {name!r}; {hint}")
