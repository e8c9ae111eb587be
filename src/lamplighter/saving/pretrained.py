"""Pretrained networks, each exported once and kept as a bundle in the user's cache folder."""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import re
from pathlib import Path
from typing import TYPE_CHECKING, get_args

from lamplighter.errors import BundleError, DataError, OutputError, ShapeError, UnknownModelError
from lamplighter.images.preprocessing import Fit
from lamplighter.models.classifier import Classifier
from lamplighter.models.fetching import BUNDLED, USUAL
from lamplighter.names import wrong_choice
from lamplighter.saving.backbones import bundled_classifier
from lamplighter.saving.bundle import load, save
from lamplighter.saving.description import FORMAT
from lamplighter.saving.tracing import collection_paused, needs_training_packages
from lamplighter.version import __version__

if TYPE_CHECKING:
    from collections.abc import Callable


_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]*(\.[A-Za-z0-9_]+)?")
_SUFFIX = ".lamp"
# Another version of one of these may mean other weights or another graph.
_PACKAGES = ("timm",)


def pretrained(
    name: str = USUAL,
    *,
    size: int | tuple[int, int] | None = None,
    fit: Fit | None = None,
    progress: Callable[[str], None] | None = None,
) -> Classifier:
    """Return a network that was trained on many photos, with its preprocessing and classes.

    It needs no torch before somebody asks for its torch network. What does not come with the
    package does the first time: its graph is exported, proven and kept in the user's cache folder.

    Args:
        name: "efficientnet-lite0", or "efficientnet-lite2", which is more accurate and takes 2.2
            times the arithmetic; both come with the package (Tan and Le, 2019, arXiv:1905.11946;
            1,000 classes of ImageNet) and are called "lite0" and "lite2" too. Or any name of timm,
            such as "resnet50", whose weights are fetched from the internet once.
        size: (height, width) of the images in pixels, or one number for both; by default as the
            network was trained.
        fit: what happens to an image of another aspect ratio: "crop", "squash" or "letterbox";
            by default as the network is evaluated, which is "crop" for most.
        progress: called with a sentence before work that takes seconds.

    Raises:
        UnknownModelError: there is no network of that name; the message suggests a near one.
        DownloadError: its weights cannot be fetched.
        ModelError: its weights are not safe to load, or it cannot be exported.
        ShapeError: the size is none.
        DataError: the fit is none.
        MissingPackageError: torch or timm is not installed, and the network is not kept yet.
    """
    if fit is not None and fit not in get_args(Fit):
        raise DataError(wrong_choice("fit", fit, get_args(Fit)))
    name, wanted = _whole_name(name), _checked(size)
    if name in BUNDLED:
        classifier = bundled_classifier(name, size=wanted)
    else:
        classifier = _kept_or_made(name, wanted, progress)
    own = classifier.preprocessing
    if fit is not None and fit != own.fit:  # which the graph does not depend on
        classifier.preprocessing = dataclasses.replace(own, fit=fit, crop_pct=1.0)
    return classifier


def pretrained_bundle(name: str, *, progress: Callable[[str], None] | None = None) -> Path:
    """Return the bundle of the pretrained network `name` in the cache, made if need be.

    Raises:
        OutputError: the cache cannot be written.
        LamplighterError: as `pretrained` does.
    """
    name = _whole_name(name)
    kept = _kept_at(name, None)
    _kept_or_made(name, None, progress)
    if not kept.is_file():
        raise OutputError(
            f"{name} has no bundle, since {kept.parent} cannot be written; free some space, or "
            "name a folder that you may write to in XDG_CACHE_HOME."
        )
    return kept


def _kept_or_made(
    name: str, size: tuple[int, int] | None, progress: Callable[[str], None] | None
) -> Classifier:
    """Return the classifier in the bundle in the cache, made if it is missing or damaged."""
    kept = _kept_at(name, size)
    with contextlib.suppress(BundleError):
        return load(kept)
    made = _made(name, size, progress)
    try:
        kept.parent.mkdir(parents=True, exist_ok=True)
        loaded = load(save(made, kept, needs_graph=True))
    except (OSError, OutputError, BundleError):  # what cannot be kept costs time alone
        return made
    assert loaded.graph is not None
    return Classifier.from_graph(
        loaded.graph,
        made.read_network,
        loaded.preprocessing,
        loaded.class_names,
        state=loaded.weight_arrays,
        architecture=loaded.architecture,
        record=loaded.record,
    )


def _made(
    name: str, size: tuple[int, int] | None, progress: Callable[[str], None] | None
) -> Classifier:
    if name in BUNDLED:
        return bundled_classifier(name, size=size)
    with needs_training_packages(f"the pretrained network {name}"), collection_paused():
        from lamplighter.models.pretrained import check_pretrained, pretrained_classifier

        check_pretrained(name)  # a name that is wrong is told before anything else
        if progress is not None:
            progress(f"preparing {name}, which is done once")
        return pretrained_classifier(name, size=size)


def _whole_name(name: str) -> str:
    """Return the name of a network of the package that is called by its end, such as "lite2"."""
    return f"efficientnet-{name}" if f"efficientnet-{name}" in BUNDLED else name


def is_pretrained(name: str | Path) -> bool:
    """Return whether `name` can only mean a pretrained network: no path, no file that is there.

    It need not be the name of one; `pretrained` knows. Nothing is imported for this.
    """
    text = str(name)
    return (
        _NAME.fullmatch(text) is not None
        and not text.lower().endswith(_SUFFIX)
        and not Path(text).exists()
    )


def _checked(size: int | tuple[int, int] | None) -> tuple[int, int] | None:
    if size is None:
        return None
    sizes = tuple(size) if isinstance(size, tuple | list) else (size, size)
    if len(sizes) != 2 or any(type(side) is not int or side < 1 for side in sizes):
        raise ShapeError(
            "the size of images must be a positive number of pixels or (height, width), "
            f"received {size!r}."
        )
    return sizes[0], sizes[1]


def _kept_at(name: str, size: tuple[int, int] | None) -> Path:
    """Return the file in the cache, whose name changes with what it is made from.

    Raises:
        UnknownModelError: no network is called so.
    """
    from importlib import metadata

    import platformdirs

    if _NAME.fullmatch(name) is None:
        last = re.split(r"[/:]", name)[-1].strip()  # as the hub has it before the name
        meant = f"did you mean {last!r}?" if _NAME.fullmatch(last) else f"choose {USUAL}."
        raise UnknownModelError(
            "the name of a pretrained network is made of letters, digits, _, - and one dot, "
            f"received {name!r}; {meant}"
        )
    versions = [__version__, str(FORMAT)]
    for package in _PACKAGES:
        try:
            versions.append(metadata.version(package))
        except metadata.PackageNotFoundError:
            versions.append("absent")
    made_from = hashlib.sha256("\n".join([name, *versions]).encode()).hexdigest()[:12]
    shape = "x".join(map(str, size)) if size else "own-size"
    file = f"{name[:80]}-{shape}-{made_from}{_SUFFIX}"
    return Path(platformdirs.user_cache_dir("lamplighter")) / "pretrained" / file
