"""Feature vectors in a file: .npz, as numpy writes and reads it, without a pickle."""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from lamplighter.datasets.files import ImageFiles
from lamplighter.datasets.zipped_images import ZipPaths
from lamplighter.errors import DatasetError, LamplighterError, MissingDatasetError, OutputError
from lamplighter.features.extraction import Features
from lamplighter.files.naming import lasting
from lamplighter.files.writing import check_target, written_whole
from lamplighter.names import no_such_path

if TYPE_CHECKING:
    from numpy.typing import NDArray

# What tables and arrays are called that are written otherwise.
_OTHER_TABLES = (".csv", ".tsv", ".txt", ".json", ".parquet", ".npy", ".h5", ".pkl", ".pt")
_TEXTS = ("paths", "class_names", "splits", "groups", "hashes")


def check_features_target(path: str | Path) -> None:
    """Refuse a file for features that cannot be written, or whose name speaks of another kind.

    Raises:
        OutputError: it is one.
    """
    suffix = Path(path).suffix
    if suffix.lower() in _OTHER_TABLES:
        raise OutputError(
            f"{path} is to hold numpy's arrays, which nothing reads as {suffix}; name it "
            f"{Path(path).with_suffix('.npz').name}."
        )
    check_target(path)


def save_features(features: Features, path: str | Path) -> Path:
    """Write `features` to an .npz file, in one step, and return its path.

    It holds `vectors` (N, D) float32, `labels` (N,) int64 (-1: none), and as text `paths`,
    `splits`, `groups` and `hashes` (N,), `class_names` (K,), `name`, `root` and `network`.

    Raises:
        OutputError: the file cannot be written, or its name is that of another kind.
    """
    check_features_target(path)
    files = features.files
    texts: dict[str, Any] = {
        name: np.array(values, dtype=np.str_)
        for name, values in zip(
            _TEXTS,
            (files.paths, files.class_names, files.splits, files.groups, features.hashes),
            strict=True,
        )
    }
    with written_whole(path) as file:
        np.savez(
            file,
            vectors=features.vectors,
            labels=files.labels,
            name=np.array(files.name),
            root=np.array(str(lasting(files.root))),
            network=np.array(features.network),
            **texts,
        )
    return Path(path)


def load_features(path: str | Path) -> Features:
    """Return the features in a file that `save_features` wrote; nothing in it is unpickled.

    Raises:
        DatasetError: the file is missing, damaged, or holds something else.
    """
    try:
        with Path(path).open("rb") as file, np.load(file, allow_pickle=False) as content:
            arrays: dict[str, NDArray[Any]] = {name: content[name] for name in content.files}
        texts = {name: tuple(str(value) for value in arrays[name]) for name in _TEXTS}
        vectors, labels = arrays["vectors"], arrays["labels"]
        fits = vectors.ndim == 2 and vectors.dtype == np.float32 and labels.dtype == np.int64
        if not fits or not len(vectors) == len(texts["paths"]) == len(texts["hashes"]):
            raise ValueError(f"vectors are {vectors.dtype} of shape {vectors.shape}")
        files = ImageFiles(
            name=str(arrays["name"]),
            root=ZipPaths().real(str(arrays["root"])),
            paths=texts["paths"],
            labels=labels,
            class_names=texts["class_names"],
            splits=texts["splits"],
            groups=texts["groups"],
        )
    except LamplighterError:
        raise
    except FileNotFoundError:
        told = f"{no_such_path('file', path)} `lamplighter embed` makes such files."
        raise MissingDatasetError(told) from None
    except (OSError, ValueError, KeyError, EOFError, TypeError, zipfile.BadZipFile) as error:
        raise DatasetError(
            f"{path} must hold features as `lamplighter embed --out` writes them, received "
            f"something else or a damaged file ({error}); make it again."
        ) from error
    return Features(
        vectors=vectors, files=files, hashes=texts["hashes"], network=str(arrays["network"])
    )
