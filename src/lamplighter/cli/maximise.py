"""`lamplighter maximise`: draw what a part of a network responds to most."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from lamplighter.cli import options
from lamplighter.cli.classifier_arguments import named_classifier
from lamplighter.cli.options import Bundle, checked_seed
from lamplighter.cli.outputs import beside, check_figure, write_figure
from lamplighter.cli.terminal import bar, printable

if TYPE_CHECKING:
    from lamplighter.explain.maximization.maximization import Maximised
    from lamplighter.explain.maximization.objectives import Objective
    from lamplighter.models.classifier import Classifier

_MOST_CLASSES = 100  # that --all-classes draws: each takes seconds, and a page has an end
_LONGEST = 80  # letters of the end of a file's name


def _checked_steps(steps: int) -> int:
    if steps < 1:
        raise typer.BadParameter(f"it must be at least 1, received {steps}.")
    return steps


def _checked_place(place: str | None) -> str | None:
    if place is not None and re.fullmatch(r"\s*\d+\s*,\s*\d+\s*", place) is None:
        raise typer.BadParameter(f"it must be a row and a column, such as 3,4, received {place!r}.")
    return place


def maximise(
    bundle: Bundle,
    classes: Annotated[
        list[str] | None,
        typer.Option("--class", metavar="NAME", help="A class; can be repeated."),
    ] = None,
    all_classes: Annotated[
        bool, typer.Option("--all-classes", metavar="", help="All classes, in one picture.")
    ] = False,
    layer: Annotated[
        str | None,
        typer.Option(metavar="LAYER", help="A layer, one of `lamplighter layers BUNDLE`."),
    ] = None,
    channel: Annotated[
        int | None, typer.Option(metavar="C", help="A channel of the layer; the first is 0.")
    ] = None,
    neuron: Annotated[
        str | None,
        typer.Option(
            metavar="Y,X",
            callback=_checked_place,
            help="One neuron of the channel: its row and column.",
        ),
    ] = None,
    steps: Annotated[
        int,
        typer.Option(
            metavar="N", callback=_checked_steps, help="Number of steps of gradient ascent."
        ),
    ] = 256,
    seed: Annotated[
        int,
        typer.Option(metavar="N", callback=checked_seed, help="Seed of the initial noise."),
    ] = 0,
    plain: Annotated[
        bool,
        typer.Option(
            "--plain",
            metavar="",
            help="Plain gradient ascent on the pixels, without random transforms and "
            "without priors.",
        ),
    ] = False,
    out: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="The picture to write. Default: beside the bundle, named after what it shows.",
        ),
    ] = None,
    force: Annotated[bool, options.force("Overwrite the picture if it exists.")] = False,
) -> None:
    """Draw the image that a class, layer or channel responds to most.

    The image is found by gradient ascent, starting from noise. Give one of --class, --all-classes
    and --layer. With --layer, --channel selects a channel, and --neuron one position in it.
    """
    _check_choice(classes, all_classes, layer, channel, neuron)
    ending = _ending(classes, layer, channel, neuron)
    target = beside(bundle, ending) if out is None else out
    check_figure(target, "--out", force=force)
    classifier = named_classifier(bundle)
    from lamplighter.explain.maximization.maximization import PLAIN, plot_maximised
    from lamplighter.explain.maximization.maximization import maximise as ascend

    settings: dict[str, Any] = PLAIN if plain else {}
    objectives = _objectives(classifier, classes, layer, channel, neuron)
    with bar("maximising", "steps", in_lines=True) as progress:
        found = ascend(
            classifier, objectives, steps=steps, seed=seed, progress=progress, **settings
        )
    _print(found)
    write_figure(plot_maximised(found), target)


def _check_choice(
    classes: list[str] | None,
    all_classes: bool,
    layer: str | None,
    channel: int | None,
    neuron: str | None,
) -> None:
    """Refuse options that do not say one thing to be maximised."""
    if sum((bool(classes), all_classes, layer is not None)) != 1:
        raise typer.BadParameter(
            "exactly one of --class, --all-classes and --layer is needed; give one."
        )
    if channel is not None and layer is None:
        raise typer.BadParameter("--channel needs a layer; give --layer as well.")
    if neuron is not None and channel is None:
        raise typer.BadParameter(
            "--neuron needs a channel of a layer; give --layer and --channel as well."
        )


def _objectives(
    classifier: Classifier,
    classes: list[str] | None,
    layer: str | None,
    channel: int | None,
    neuron: str | None,
) -> list[Objective]:
    from lamplighter.explain.maximization import objectives

    if layer is None:
        names = classes or classifier.class_names
        if classes is None and len(names) > _MOST_CLASSES:
            raise typer.BadParameter(
                f"--all-classes draws at most {_MOST_CLASSES} classes, received a "
                f"classifier with {len(names):,}; choose some with --class."
            )
        return [objectives.class_(name) for name in names]
    if channel is None:
        return [objectives.layer(layer)]
    if neuron is None:
        return [objectives.channel(layer, channel)]
    row, column = map(int, neuron.split(","))
    return [objectives.neuron(layer, channel, row, column)]


def _ending(
    classes: list[str] | None, layer: str | None, channel: int | None, neuron: str | None
) -> str:
    """Return what tells in the name of a file what is maximised."""
    parts = [*(classes or []), layer or ("" if classes else "classes")]
    parts += ["" if channel is None else str(channel), neuron or ""]
    words = ["".join(c if c.isalnum() else "_" for c in part) for part in parts if part]
    return "-".join(["maximised", *words])[:_LONGEST]


def _print(found: Maximised) -> None:
    """Print a line for each image."""
    for words, score, probability in zip(
        found.objectives, found.scores, found.probabilities, strict=True
    ):
        likely = "" if probability != probability else f", probability {probability:.3f}"
        typer.echo(printable(f"{words}: value {score:.3g}{likely}"))
