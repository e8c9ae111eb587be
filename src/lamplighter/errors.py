"""Every error that Lamplighter raises on purpose, in one tree.

Most are also what Python or scikit-learn would raise of the same fault, in brackets below, so that
`except` clauses written for these catch them; what is below an error is that as well.

::

    LamplighterError
    ├── DataError                 what was given to learn or classify from [ValueError]
    │   ├── ImageError            an image file that cannot be read [OSError]
    │   │   └── MissingImageError     that is not there [FileNotFoundError]
    │   ├── DatasetError          a data set that is damaged or inconsistent
    │   │   └── MissingDatasetError   that is not there [FileNotFoundError]
    │   ├── DownloadError         something that cannot be fetched from the internet [OSError]
    │   ├── SimilarIndexError     an index of similar images that cannot be used
    │   │   └── MissingIndexError     that is not there [FileNotFoundError]
    │   ├── UnknownSplitError     a split that the data does not have [KeyError]
    │   └── WorkspaceError        labels that cannot be set, or a journal that cannot be used
    ├── ModelError                what is to be trained or asked [ValueError]
    │   ├── UnknownModelError     a name that the registry does not have [KeyError]
    │   ├── PluginError           a network or head of a plug-in that does not load [ImportError]
    │   ├── ShapeError            images and network do not fit one another
    │   ├── ClassCountError       class names and network outputs do not fit one another
    │   ├── UnknownClassError     a class that the classifier does not have [KeyError]
    │   ├── UnknownLayerError     a layer that is not there, or not of that kind [KeyError]
    │   ├── NoGradientError       scores whose gradient is missing, or 0 everywhere
    │   ├── ExportError           a network that cannot be written as a graph
    │   └── NetworkMissingError   the torch network of a bundle cannot be built
    ├── BundleError               a .lamp file that cannot be used [ValueError]
    │   ├── MissingBundleError    that is not there [FileNotFoundError]
    │   ├── NewerFormatError      written by a later version of Lamplighter
    │   └── ParityError           the ONNX graph disagrees with the torch network
    ├── TrainingError             a training that cannot start or go on [ValueError]
    │   ├── NonFiniteLossError    the loss became NaN or infinite [ArithmeticError]
    │   └── ResumeError           a checkpoint that cannot be continued from
    ├── ArgumentError             an argument that a function does not take [ValueError]
    │   └── ArgumentTypeError     for its name, place or type [TypeError]
    ├── ServiceError              a service that cannot start, or that refuses [OSError]
    ├── LabError                  a lab, or a learner's notebook, that cannot be used
    │   └── MissingNotebookError  that is not there [FileNotFoundError]
    ├── OutputError               a result that cannot be written [OSError]
    └── MissingPackageError       an optional package that is not installed [ImportError]

Each message says what was expected, what was received and how to mend it, on one line. What did
not hinder the work, but has to be known, is a LamplighterWarning.
"""

from __future__ import annotations

from lamplighter.installation import install_command


class LamplighterError(Exception):
    """Base of all errors that Lamplighter raises on purpose."""

    def __str__(self) -> str:
        return Exception.__str__(self)  # KeyError would show its message in quotes


class LamplighterWarning(UserWarning):
    """The work is done, but not all that it was to give is there."""


class DataError(LamplighterError, ValueError):
    """Something is wrong with the data."""


class ImageError(DataError, OSError):
    """An image file cannot be read.

    Args:
        message: the one line.
        fault: what kind of bad file it is: "empty", "not-an-image", "not-read" (a format that is
            not), "needs-package", "too-large", "damaged" or "unreadable".
    """

    def __init__(self, message: str, *, fault: str = "unreadable") -> None:
        super().__init__(message)
        self.fault = fault


class MissingImageError(ImageError, FileNotFoundError):
    """There is no image file of that name."""


class DatasetError(DataError):
    """A data set is damaged or inconsistent."""


class MissingDatasetError(DatasetError, FileNotFoundError):
    """There is no folder or file of that name to read a data set from."""


class DownloadError(DataError, OSError):
    """Something cannot be fetched from the internet."""


class SimilarIndexError(DataError):
    """An index of similar images cannot be used."""


class MissingIndexError(SimilarIndexError, FileNotFoundError):
    """There is no index of similar images of that name."""


class UnknownSplitError(DataError, KeyError):
    """The data has no split of that name."""


class WorkspaceError(DataError):
    """A label cannot be set, undone or applied, or the journal of labels cannot be used."""


class ModelError(LamplighterError, ValueError):
    """Something is wrong with the network."""


class UnknownModelError(ModelError, KeyError):
    """The registry has no network of that name."""


class PluginError(ModelError, ImportError):
    """A network or head that another distribution offers does not load."""


class ShapeError(ModelError):
    """Images and network do not fit one another."""


class ClassCountError(ModelError):
    """Class names and network outputs do not fit one another."""


class UnknownClassError(ModelError, KeyError):
    """The classifier has no class of that name or number."""


class UnknownLayerError(ModelError, KeyError):
    """The network has no layer of that name, or it is not of the kind that is needed."""


class NoGradientError(ModelError):
    """The gradient of the scores is missing, or 0 everywhere."""


class ExportError(ModelError):
    """A network cannot be written as a graph that needs no torch."""


class NetworkMissingError(ModelError):
    """The torch network of a bundle cannot be built here."""


class BundleError(LamplighterError, ValueError):
    """A bundle cannot be used."""


class MissingBundleError(BundleError, FileNotFoundError):
    """There is no bundle of that name."""


class NewerFormatError(BundleError):
    """The bundle was written by a later version of Lamplighter."""


class ParityError(BundleError):
    """The ONNX graph disagrees with the torch network."""


class TrainingError(LamplighterError, ValueError):
    """A training cannot start or go on."""


class NonFiniteLossError(TrainingError, ArithmeticError):
    """The loss became NaN or infinite."""


class ResumeError(TrainingError):
    """A checkpoint cannot be continued from."""


class ArgumentError(LamplighterError, ValueError):
    """A function does not take an argument of that value."""


class ArgumentTypeError(ArgumentError, TypeError):
    """A function does not take an argument of that name, place or type."""


class ServiceError(LamplighterError, OSError):
    """A service cannot start, cannot be reached or refuses a request."""


class LabError(LamplighterError):
    """A lab, or a learner's notebook, cannot be used."""


class MissingNotebookError(LabError, FileNotFoundError):
    """There is no notebook, or folder of notebooks, of that name."""


class OutputError(LamplighterError, OSError):
    """A result cannot be written."""


class MissingPackageError(LamplighterError, ImportError):
    """An optional package is not installed."""

    @classmethod
    def of(cls, needing: str, error: ImportError) -> MissingPackageError:
        """Return the error of something that needs the package which `error` misses."""
        package = error.name or "a package"
        message = f"{needing} needs {package}, which is not installed; {install_command()}."
        return cls(message, name=error.name)
