"""Every error that Lamplighter raises on purpose, in one tree.

::

    LamplighterError
    ├── DataError                 what was given to learn or classify from
    │   ├── ImageError            an image file that cannot be read
    │   ├── DatasetError          a data set that is missing, damaged or inconsistent
    │   ├── DownloadError         something that cannot be fetched from the internet
    │   ├── SimilarIndexError     an index of similar images that cannot be used
    │   └── UnknownSplitError     a split that the data does not have
    ├── ModelError                what is to be trained or asked
    │   ├── UnknownModelError     a name that the registry does not have
    │   ├── ShapeError            images and network do not fit one another
    │   ├── ClassCountError       class names and network outputs do not fit one another
    │   ├── UnknownClassError     a class that the classifier does not have
    │   ├── UnknownLayerError     a layer that the network does not have, or not of that kind
    │   ├── NoGradientError       scores whose gradient is missing, or 0 everywhere
    │   ├── ExportError           a network that cannot be written as a graph
    │   └── NetworkMissingError   the torch network of a bundle cannot be built
    ├── BundleError               a .lamp file that cannot be used
    │   ├── NewerFormatError      written by a later version of Lamplighter
    │   └── ParityError           the ONNX graph disagrees with the torch network
    ├── TrainingError             a training that cannot start or go on
    │   ├── NonFiniteLossError    the loss became NaN or infinite
    │   └── ResumeError           a checkpoint that cannot be continued from
    ├── ArgumentError             an argument that a function does not take
    ├── LabError                  a lab, or a learner's notebook, that cannot be used
    ├── OutputError               a result that cannot be written
    └── MissingPackageError       an optional package that is not installed

Each message says what was expected, what was received and how to mend it, on one line. What did
not hinder the work, but has to be known, is a LamplighterWarning.
"""

from __future__ import annotations

from lamplighter.installation import install_command


class LamplighterError(Exception):
    """Base of all errors that Lamplighter raises on purpose."""


class LamplighterWarning(UserWarning):
    """The work is done, but not all that it was to give is there."""


class DataError(LamplighterError):
    """Something is wrong with the data."""


class ImageError(DataError):
    """An image file cannot be read.

    Args:
        message: the one line.
        fault: what kind of bad file it is: "empty", "not-an-image", "not-read" (a format that is
            not), "needs-package", "too-large", "damaged" or "unreadable".
    """

    def __init__(self, message: str, *, fault: str = "unreadable") -> None:
        super().__init__(message)
        self.fault = fault


class DatasetError(DataError):
    """A data set is missing, damaged or inconsistent."""


class DownloadError(DataError):
    """Something cannot be fetched from the internet."""


class SimilarIndexError(DataError):
    """An index of similar images cannot be used."""


class UnknownSplitError(DataError):
    """The data has no split of that name."""


class ModelError(LamplighterError):
    """Something is wrong with the network."""


class UnknownModelError(ModelError):
    """The registry has no network of that name."""


class ShapeError(ModelError):
    """Images and network do not fit one another."""


class ClassCountError(ModelError):
    """Class names and network outputs do not fit one another."""


class UnknownClassError(ModelError):
    """The classifier has no class of that name or number."""


class UnknownLayerError(ModelError):
    """The network has no layer of that name, or it is not of the kind that is needed."""


class NoGradientError(ModelError):
    """The gradient of the scores is missing, or 0 everywhere."""


class ExportError(ModelError):
    """A network cannot be written as a graph that needs no torch."""


class NetworkMissingError(ModelError):
    """The torch network of a bundle cannot be built here."""


class BundleError(LamplighterError):
    """A bundle cannot be used."""


class NewerFormatError(BundleError):
    """The bundle was written by a later version of Lamplighter."""


class ParityError(BundleError):
    """The ONNX graph disagrees with the torch network."""


class TrainingError(LamplighterError):
    """A training cannot start or go on."""


class NonFiniteLossError(TrainingError):
    """The loss became NaN or infinite."""


class ResumeError(TrainingError):
    """A checkpoint cannot be continued from."""


class ArgumentError(LamplighterError, TypeError):
    """A function does not take an argument of that name, place or type."""


class LabError(LamplighterError):
    """A lab, or a learner's notebook, cannot be used."""


class OutputError(LamplighterError):
    """A result cannot be written."""


class MissingPackageError(LamplighterError):
    """An optional package is not installed."""

    @classmethod
    def of(cls, needing: str, error: ImportError) -> MissingPackageError:
        """Return the error of something that needs the package which `error` misses."""
        package = error.name or "a package"
        return cls(f"{needing} needs {package}, which is not installed; {install_command()}.")
