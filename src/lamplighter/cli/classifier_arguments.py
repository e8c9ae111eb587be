"""The classifier that a command is to use: a bundle of the user's, or a pretrained network."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from lamplighter.cli.terminal import printable
from lamplighter.errors import DataError, UnknownModelError
from lamplighter.names import either, near_paths

if TYPE_CHECKING:
    from pathlib import Path

    from lamplighter.images.preprocessing import Fit
    from lamplighter.models.classifier import Classifier


def named_classifier(name: Path, *, fit: Fit | None = None) -> Classifier:
    """Return the classifier in the bundle at `name`, or the pretrained network of this name.

    Args:
        name: as the user gave it.
        fit: what happens to images that are not square; None as the network has it.

    Raises:
        DataError: a fit is given for a bundle, which has its own.
        BundleError: the bundle cannot be used.
        UnknownModelError: there is neither a file nor a network of this name.
        DownloadError: the weights of the network cannot be fetched.
    """
    from lamplighter.saving.pretrained import is_pretrained, pretrained

    if not is_pretrained(name):
        from lamplighter.saving.bundle import load

        if fit is not None:
            raise DataError(
                f"a fit can be chosen for pretrained networks only, received {name}, "
                "whose bundle has its own preprocessing; leave the fit out."
            )
        return load(name)
    try:
        return pretrained(str(name), fit=fit, progress=_tell)
    except UnknownModelError as error:
        raise _neither(name, error) from error


def bundle_of(name: Path) -> Path:
    """Return the bundle at `name`, or that of the pretrained network of this name.

    Raises:
        UnknownModelError: there is neither a file nor a network of this name.
        DownloadError: the weights of the network cannot be fetched.
        OutputError: the bundle of a network cannot be kept in the cache.
    """
    from lamplighter.saving.pretrained import is_pretrained, pretrained_bundle

    if not is_pretrained(name):
        return name
    try:
        return pretrained_bundle(str(name), progress=_tell)
    except UnknownModelError as error:
        raise _neither(name, error) from error


def _neither(name: Path, error: UnknownModelError) -> UnknownModelError:
    """Return the error on what is neither a file nor the name of a network."""
    near = [path for path in near_paths(name) if path.lower().endswith(".lamp")]
    meant = f" (did you mean {either(near)}?)" if near else ""
    return UnknownModelError(f"there is no file {name}{meant}, and {error}")


def _tell(sentence: str) -> None:
    sys.stderr.write(f"{printable(sentence)}\n")
    sys.stderr.flush()
