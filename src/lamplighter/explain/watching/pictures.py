"""Callbacks that draw what a network has learned so far: filters, feature maps, a class.

None of them changes the training: random numbers, gradients, modes and hooks are as before.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from lamplighter.arguments import checked
from lamplighter.errors import TrainingError
from lamplighter.explain.feature_maps import feature_maps, plot_feature_maps
from lamplighter.explain.filters import filters, plot_filters
from lamplighter.explain.images import prepare
from lamplighter.explain.maximization.maximization import maximise, plot_maximised
from lamplighter.explain.maximization.objectives import class_
from lamplighter.inference.torch_runtime import device_of
from lamplighter.models.classifier import class_index
from lamplighter.training.callbacks.pictures import Drawing
from lamplighter.training.loaders import same_random_numbers

if TYPE_CHECKING:
    from pathlib import Path

    from matplotlib.figure import Figure

    from lamplighter.explain.images import OneImage
    from lamplighter.models.classifier import Classifier
    from lamplighter.training.view import TrialView

_MOST = 60  # letters of a name that go into the name of a file


class InsideDrawing(Drawing):
    """A callback that draws something inside the network every few epochs.

    Args:
        folder: where pictures are written; None draws in a notebook alone.
        every: epochs between two pictures.

    Raises:
        TrainingError: `every` is not positive.
    """

    kind = ""  # what a picture's file is called, before what it shows and the epoch

    def on_start(self, view: TrialView) -> None:
        """Make the folder, and look whether there will be something to draw.

        Raises:
            TrainingError: the trial was given a bare network instead of a Classifier.
            OutputError: the folder cannot be made.
            LamplighterError: there is no such layer, class or image.
        """
        super().on_start(view)
        with _unnoticed(view):
            self.check(_classifier(view, self))

    def on_epoch_end(self, view: TrialView) -> None:
        """Draw."""
        if self.is_due(view):
            with _unnoticed(view):
                picture = self.draw(_classifier(view, self), view.epoch + 1)
            parts = [self.kind, _safe(self.shown()), str(view.epoch + 1)]
            self.show(picture, "-".join(part for part in parts if part) + ".png")

    def check(self, classifier: Classifier) -> None:
        """Raise an error where there will be nothing to draw, before hours are spent on it."""
        raise NotImplementedError

    def draw(self, classifier: Classifier, epoch: int) -> Figure:
        """Return the picture after `epoch` epochs."""
        raise NotImplementedError

    def shown(self) -> str:
        """Return what tells this picture from others of its kind."""
        raise NotImplementedError


class DrawFilters(InsideDrawing):
    """Draw the filters of a convolution every few epochs.

    Args:
        folder: where `filters-LAYER-EPOCH.png` is written, without LAYER where none is named;
            None draws in a notebook alone.
        every: epochs between two pictures.
        layer: as `named_modules` has it; by default the first convolution.
    """

    kind = "filters"

    @checked
    def __init__(
        self, folder: str | Path | None = None, *, every: int = 5, layer: str | None = None
    ) -> None:
        super().__init__(folder, every=every)
        self.layer = layer

    def check(self, classifier: Classifier) -> None:
        """Look for the layer."""
        filters(classifier, self.layer)

    def draw(self, classifier: Classifier, epoch: int) -> Figure:
        """Return the filters as they are now."""
        return plot_filters(classifier, self.layer)

    def shown(self) -> str:
        """Return the name of the layer, if it was given."""
        return self.layer or ""


class DrawFeatureMaps(InsideDrawing):
    """Draw what a layer makes of one image every few epochs.

    Args:
        folder: where `feature-maps-LAYER-EPOCH.png` is written, without LAYER where none is
            named; None draws in a notebook alone.
        image: the path of an image file, a PIL image, or pixels as uint8, as
            `lamplighter.feature_maps` takes them; it is read once, when the training starts.
        layer: as `named_modules` has it; by default the first that gives maps.
        every: epochs between two pictures.
    """

    kind = "feature-maps"

    @checked
    def __init__(
        self,
        folder: str | Path | None,
        image: OneImage,
        layer: str | None = None,
        *,
        every: int = 5,
    ) -> None:
        super().__init__(folder, every=every)
        self.image = image
        self.layer = layer

    def check(self, classifier: Classifier) -> None:
        """Read the image and look for the layer."""
        self._inputs = prepare(classifier, self.image)
        feature_maps(classifier, self._inputs, self.layer)

    def draw(self, classifier: Classifier, epoch: int) -> Figure:
        """Return the maps as they are now."""
        return plot_feature_maps(classifier, self._inputs, self.layer)

    def shown(self) -> str:
        """Return the name of the layer, if it was given."""
        return self.layer or ""


class DrawClass(InsideDrawing):
    """Draw the image that the network finds most typical of a class, every few epochs.

    Args:
        folder: where `class-NAME-EPOCH.png` is written; None draws in a notebook alone.
        class_name: the name of a class.
        every: epochs between two pictures.
        settings: for `lamplighter.maximise`, such as `steps`.
    """

    kind = "class"

    @checked
    def __init__(
        self, folder: str | Path | None, class_name: str, *, every: int = 5, **settings: Any
    ) -> None:
        super().__init__(folder, every=every)
        self.class_name = class_name
        self.settings = settings

    def check(self, classifier: Classifier) -> None:
        """Look for the class, and try the settings in one step."""
        class_index(classifier.class_names, self.class_name)
        maximise(classifier, class_(self.class_name), **{**self.settings, "steps": 1})

    def draw(self, classifier: Classifier, epoch: int) -> Figure:
        """Return the maximised class as it is now."""
        found = maximise(classifier, class_(self.class_name), **self.settings)
        return plot_maximised(found, title=f"epoch {epoch}")

    def shown(self) -> str:
        """Return the name of the class."""
        return self.class_name


def _classifier(view: TrialView, callback: InsideDrawing) -> Classifier:
    if view.classifier is None:
        raise TrainingError(
            f"{type(callback).__name__} needs a trial of a Classifier, which knows its images and "
            "classes, received a bare network; make the trial of Classifier(network, "
            "preprocessing, class_names)."
        )
    return view.classifier


def _unnoticed(view: TrialView) -> Any:
    """Return a context in which random numbers can be drawn without changing the training's."""
    assert view.network is not None
    device = device_of(view.network)
    return same_random_numbers(*([device] if device.type == "cuda" else []))


def _safe(name: str) -> str:
    """Return `name` as a part of a file's name."""
    return "".join(letter if letter.isalnum() or letter in "._" else "_" for letter in name)[:_MOST]
