"""The backbone that a command is to use: a network by name, a bundle, an ONNX file, or a choice."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from lamplighter.cli.classifier_arguments import named_classifier
from lamplighter.cli.data_arguments import say
from lamplighter.errors import DataError

if TYPE_CHECKING:
    from lamplighter.datasets.files import ImageFiles
    from lamplighter.images.preprocessing import Fit
    from lamplighter.models.classifier import Classifier

AUTO = "auto"

Backbone = Annotated[
    str,
    typer.Option(
        metavar="NAME|FILE",
        help="The network that computes features: efficientnet-lite0; efficientnet-lite2, more "
        "accurate and slower; auto, the more accurate one if it takes at most a minute here; any "
        "name of timm; a bundle; or an ONNX file, with --size, --mean and --std.",
    ),
]
FitOption = Annotated[
    Literal["squash", "crop", "letterbox"] | None,
    typer.Option(
        metavar="FIT",
        help="How images that are not square are resized. squash, the default for a network by "
        "name: stretched; crop: the middle only; letterbox: the whole image, with bars.",
    ),
]
Size = Annotated[
    str | None,
    typer.Option(metavar="PIXELS", help="Of an ONNX file: the size of its images, 224 or 240x320."),
]
Mean = Annotated[
    str | None,
    typer.Option(
        metavar="NUMBERS",
        help="Of an ONNX file: what is subtracted from each channel of images in 0 to 1, such as "
        "0.485,0.456,0.406.",
    ),
]
Std = Annotated[
    str | None,
    typer.Option(metavar="NUMBERS", help="Of an ONNX file: what each channel is then divided by."),
]


def backbone_named(
    name: str,
    fit: Fit | None,
    *,
    size: str | None = None,
    mean: str | None = None,
    std: str | None = None,
) -> Classifier:
    """Return the network that computes features; a pretrained one sees the whole image.

    Raises:
        DataError: a fit is given for a bundle, or a size, mean or std for what has its own.
        ModelError: the ONNX file cannot be a backbone.
    """
    from lamplighter.saving.onnx_backbone import is_onnx, onnx_backbone
    from lamplighter.saving.pretrained import is_pretrained

    given = {"--size": size, "--mean": mean, "--std": std}
    if is_onnx(name):
        missing = [option for option, value in given.items() if value is None]
        if missing:
            raise DataError(
                f"{name} does not say how its images are prepared: give {' and '.join(missing)} "
                "as well, such as --size 224 --mean 0.485,0.456,0.406 --std 0.229,0.224,0.225."
            )
        return onnx_backbone(
            name,
            size=_size(str(size)),
            mean=_numbers("--mean", str(mean)),
            std=_numbers("--std", str(std)),
            fit=fit or "squash",
        )
    unused = [option for option, value in given.items() if value is not None]
    if unused:
        raise DataError(
            f"{' and '.join(unused)} are for an ONNX file, and {name} has its own preprocessing; "
            "leave them out."
        )
    if fit is None and is_pretrained(name):
        fit = "squash"
    return named_classifier(Path(name), fit=fit)


def chosen_backbone(
    name: str,
    files: ImageFiles,
    fit: Fit | None,
    *,
    size: str | None = None,
    mean: str | None = None,
    std: str | None = None,
) -> tuple[str, Classifier]:
    """Return the name and the network of `backbone_named`; for "auto" choose, and say why."""
    if name != AUTO or Path(name).exists():
        return name, backbone_named(name, fit, size=size, mean=mean, std=std)
    from lamplighter.features.backbone_choice import choose_backbone

    choice = choose_backbone(files, fit=fit or "squash")
    say(f"backbone: {choice.reason}")
    return choice.name, choice.classifier


def _size(text: str) -> int | tuple[int, int]:
    height, _, width = text.lower().partition("x")
    try:
        return (int(height), int(width)) if width else int(height)
    except ValueError:
        raise DataError(
            f"--size takes pixels, such as 224, or HEIGHTxWIDTH, such as 240x320, received "
            f"{text!r}."
        ) from None


def _numbers(option: str, text: str) -> list[float]:
    try:
        return [float(part) for part in text.split(",")]
    except ValueError:
        raise DataError(
            f"{option} takes one number for each channel with commas between, such as 0.5,0.5,0.5, "
            f"received {text!r}."
        ) from None
