"""The choice of a backbone by what it costs on this machine, measured on the user's own images."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from lamplighter.errors import ArgumentError, ImageError
from lamplighter.inference.runtime import runtime
from lamplighter.machine import usable_cores
from lamplighter.models.fetching import BUNDLED, USUAL
from lamplighter.saving.pretrained import pretrained
from lamplighter.text import counted

if TYPE_CHECKING:
    from pathlib import Path

    from lamplighter.datasets.files import ImageFiles
    from lamplighter.images.preprocessing import Fit
    from lamplighter.models.classifier import Classifier

SECONDS = 60.0
_MEASURED = 8  # images


@dataclass(frozen=True, eq=False)
class BackboneChoice:
    """A backbone of the package, and why it was chosen.

    Attributes:
        name: such as "efficientnet-lite2".
        classifier: the network, for `embed` or `climb_ladder`.
        reason: one sentence with the times that were measured.
    """

    name: str
    classifier: Classifier
    reason: str


def choose_backbone(
    files: ImageFiles, *, seconds: float = SECONDS, fit: Fit | None = "squash"
) -> BackboneChoice:
    """Return the most accurate backbone of the package that embeds all files within a time.

    What each takes is measured on up to 8 of the files, which takes about a second; where even the
    fastest takes longer, it is that one.

    Args:
        files: what is to be embedded.
        seconds: how long that may take, above 0.
        fit: what happens to images of another aspect ratio, as for `pretrained`.

    Raises:
        ArgumentError: `seconds` is not above 0.
    """
    if not seconds > 0:
        raise ArgumentError(f"embedding takes more than 0 seconds, received {seconds}.")
    step = max(1, len(files) // _MEASURED)
    few = files.files[::step][:_MEASURED]
    usual = pretrained(USUAL, fit=fit)
    takes = {USUAL: _seconds(usual, few) * len(files) / usable_cores()}
    images = f"{counted(len(files), 'image')} on this machine"
    for name in reversed([name for name in BUNDLED if name != USUAL]):
        classifier = pretrained(name, fit=fit)
        takes[name] = _seconds(classifier, few) * len(files) / usable_cores()
        if takes[name] <= seconds:
            reason = (
                f"{name} is more accurate than {USUAL} and takes about {_about(takes[name])} for "
                f"{images}, which is within {seconds:g} s"
            )
            return BackboneChoice(name, classifier, reason)
    others = ", ".join(
        f"{name} would take about {_about(time)}" for name, time in takes.items() if name != USUAL
    )
    reason = (
        f"{USUAL} takes about {_about(takes[USUAL])} for {images}; {others}, more than "
        f"{seconds:g} s"
    )
    return BackboneChoice(USUAL, usual, reason)


def _seconds(classifier: Classifier, files: list[Path] | tuple[Path, ...]) -> float:
    """Return what one core takes for an image, from the file to its features; median, 0 of none."""
    compute, preprocessing = runtime(classifier), classifier.preprocessing
    shape = (1, preprocessing.channels, preprocessing.height, preprocessing.width)
    compute.with_features(np.zeros(shape, dtype=np.float32))  # sets memory up
    times = []
    for file in files:
        start = time.perf_counter()
        try:
            image = preprocessing.open(file)
            compute.with_features(preprocessing(image)[np.newaxis])
        except (ImageError, OSError):  # embedding will say so
            continue
        times.append(time.perf_counter() - start)
    return float(np.median(times)) if times else 0.0


def _about(seconds: float) -> str:
    return f"{seconds:.1f} s" if seconds < 10 else f"{seconds:.0f} s"
