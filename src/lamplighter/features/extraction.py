"""Feature vectors of image files, computed once and kept by content."""

from __future__ import annotations

import hashlib
import json
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from lamplighter.auditing.thumbnails import content_hash, file_state
from lamplighter.errors import DatasetError, ImageError, ModelError
from lamplighter.files.content_cache import ContentCache
from lamplighter.files.naming import shown
from lamplighter.images.decoding import reason_alone
from lamplighter.inference.runtime import runtime
from lamplighter.machine import usable_cores
from lamplighter.models.classifier import check_classifier, weights_digest

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from numpy.typing import NDArray

    from lamplighter.datasets.files import ImageFiles, Progress
    from lamplighter.models.classifier import Classifier


class FeatureCache(ContentCache):
    """Vectors by the SHA-256 of an image file's content, in one SQLite file for each network.

    Args:
        network: the fingerprint of what computes the vectors; None keeps nothing.
        folder: where the cache is; by default in the user's cache folder.
    """

    def __init__(self, network: str | None, *, folder: Path | None = None) -> None:
        path = (folder or Path("features")) / f"{network[:32]}.sqlite" if network else None
        super().__init__(path, {"vector": "BLOB"})

    def get(self, contents: Sequence[str]) -> dict[str, NDArray[np.float32]]:
        """Return the vectors that are known, each (D,), by the SHA-256 of the file."""
        known: dict[str, NDArray[np.float32]] = {}
        for content, (stored,) in self.rows(contents).items():
            if isinstance(stored, bytes) and len(stored) % 4 == 0:
                vector = np.frombuffer(stored, dtype="<f4")
                if np.isfinite(vector).all():
                    known[content] = vector
        return known

    def put(self, vectors: Iterable[tuple[str, NDArray[np.float32]]]) -> None:
        """Keep vectors (D,) by SHA-256; they are safe from a kill once this returns."""
        self.keep((content, (vector.astype("<f4").tobytes(),)) for content, vector in vectors)


# Images that one thread takes through the network at once: more leave the caches of the processor.
_AT_ONCE = 4
# Vectors between two commits of the cache: what a kill can cost.
_KEPT_AT_ONCE = 64


@dataclass(frozen=True, eq=False, kw_only=True)
class Features:
    """Feature vectors of image files, in the order of the files.

    Attributes:
        vectors: what the network makes of each image, float32, shape (N, D).
        files: the N files, with labels, splits and groups; bad ones are in `files.set_aside`.
        hashes: the SHA-256 of each file's content, N hexadecimal strings.
        network: the fingerprint of the network and its preprocessing.
        cached: how many of the vectors were known from an earlier run.
    """

    vectors: NDArray[np.float32]
    files: ImageFiles
    hashes: tuple[str, ...]
    network: str
    cached: int = 0

    def __len__(self) -> int:
        return len(self.vectors)

    def take(self, indices: Sequence[int] | NDArray[np.int64]) -> Features:
        """Return the features at `indices`, in their order."""
        chosen = np.asarray(indices, dtype=np.int64)
        return replace(
            self,
            vectors=self.vectors[chosen],
            files=self.files.take(chosen),
            hashes=tuple(self.hashes[index] for index in chosen),
        )

    def split(self, name: str) -> Features:
        """Return the features of one split.

        Raises:
            UnknownSplitError: there is no file of that split.
        """
        self.files.split(name)
        return self.take([i for i, split in enumerate(self.files.splits) if split == name])


def embed(
    classifier: Classifier,
    files: ImageFiles,
    *,
    cache: bool = True,
    scaled: bool = True,
    progress: Progress | None = None,
) -> Features:
    """Return the feature vector of every file: the input of the classifier's last layer.

    Files are read, decoded and taken through the network by as many threads as there are cores.
    A file that cannot be read is set aside with its reason. Memory grows by the vectors alone.

    Args:
        classifier: pretrained, trained, or loaded from a bundle.
        files: what to embed; labels are not needed.
        cache: keep vectors in the user's cache folder by file content and network, and take
            from there those that are known; a run that was killed loses at most a second. Of a
            file that changes while it is read nothing is kept.
        scaled: let large JPEG files be decoded at a smaller scale, which is faster and changes
            the vectors a little (cosine similarity above 0.995).
        progress: called with the number of files done so far and the number of all.

    Raises:
        ModelError: the network has no feature vectors.
        DatasetError: not one file could be read.
    """
    check_classifier(classifier, "embed")
    compute = runtime(classifier)
    if compute.num_features is None:
        raise ModelError(
            "to embed, the network must end in a layer that takes one vector for each image, "
            "which this one does not; choose another, such as pretrained()."
        )
    network = fingerprint(classifier, scaled=scaled)
    vectors = np.empty((len(files), compute.num_features), dtype=np.float32)
    hashes: list[str] = []
    reasons: dict[str, str] = {}
    known = 0
    with FeatureCache(network if cache else None) as kept:
        worker = _Worker(classifier, kept, scaled=scaled)
        pending: list[tuple[str, NDArray[np.float32]]] = []
        try:
            for path, row in zip(files.paths, worker.rows(files.files), strict=True):
                if isinstance(row, str):
                    reasons[path] = row
                else:
                    vectors[len(hashes)] = row.vector
                    hashes.append(row.content)
                    known += row.known
                    if row.lasting:
                        pending.append((row.content, row.vector))
                if len(pending) >= _KEPT_AT_ONCE:
                    kept.put(pending)
                    pending.clear()
                if progress is not None:
                    progress(len(hashes) + len(reasons), len(files))
        finally:  # Ctrl-C as well: what is done is kept
            kept.put(pending)
    if not hashes:
        first = next(iter(reasons.items()), ("no file", "there is none"))
        raise DatasetError(
            f"none of the {len(files):,} files of {files.name} could be read; the first, "
            f"{shown(first[0])} {first[1]}"
        )
    return Features(
        vectors=vectors[: len(hashes)],
        files=files.setting_aside(reasons),
        hashes=tuple(hashes),
        network=network,
        cached=known,
    )


def fingerprint(classifier: Classifier, *, scaled: bool = True) -> str:
    """Return a SHA-256 that changes with all that decides the vector of an image.

    Args:
        classifier: its weights and its preprocessing count.
        scaled: whether large JPEG files are decoded at a smaller scale.
    """
    settings = {**classifier.preprocessing.to_dict(), "scaled": scaled}
    digest = hashlib.sha256(json.dumps(settings, sort_keys=True).encode())
    graph = classifier.unchanged_graph
    if graph is not None:
        digest.update(graph)
        return digest.hexdigest()
    architecture = classifier.architecture
    digest.update(repr(architecture or type(classifier.network).__qualname__).encode())
    digest.update(weights_digest(classifier.network).encode())
    return digest.hexdigest()


@dataclass(frozen=True)
class _Row:
    """A vector and the content that it is of; `lasting` where the cache is to keep it."""

    content: str
    vector: NDArray[np.float32]
    known: bool = False
    lasting: bool = False


class _Worker:
    """Takes files to vectors, a few at a time, in several threads."""

    def __init__(
        self,
        classifier: Classifier,
        cache: FeatureCache,
        *,
        scaled: bool,
    ) -> None:
        self._preprocessing = classifier.preprocessing
        self._compute = runtime(classifier)
        self._cache = cache
        self._scaled = scaled
        # A torch network has threads of its own and is in one mode for all of them.
        self._turn = threading.Lock() if classifier.graph is None else None

    def rows(self, files: Sequence[Path]) -> Iterator[_Row | str]:
        """Yield for each file its vector, or why there is none, in their order."""
        chunks = [files[start : start + _AT_ONCE] for start in range(0, len(files), _AT_ONCE)]
        pool = ThreadPoolExecutor(usable_cores())
        try:
            for rows in pool.map(self._chunk, chunks):
                yield from rows
        finally:
            pool.shutdown(cancel_futures=True)

    def _chunk(self, files: Sequence[Path]) -> list[_Row | str]:
        rows: list[_Row | str | None] = []
        inputs: list[NDArray[np.float32]] = []
        contents: list[tuple[str, bool]] = []
        for file in files:
            try:
                state = file_state(file)
                content = content_hash(file)
                vector = self._cache.get([content]).get(content)
                if vector is not None and len(vector) == self._compute.num_features:
                    rows.append(_Row(content, vector, known=True))
                    continue
                image = self._preprocessing.open(file, scaled=self._scaled)
                settled = file_state(file) == state
                if not settled:  # what was decoded is another content than what was hashed
                    content = content_hash(file)
                inputs.append(self._preprocessing(image))
                contents.append((content, settled))
                rows.append(None)
            except ImageError as error:
                rows.append(reason_alone(error, file))
            except OSError as error:
                rows.append(f"cannot be read: {error.strerror or error}; is it still there?")
        if inputs:
            vectors = self._features(np.stack(inputs))
            fresh = (
                _Row(content, vector, lasting=settled)
                for (content, settled), vector in zip(contents, vectors, strict=True)
            )
            rows = [next(fresh) if row is None else row for row in rows]
        return [row for row in rows if row is not None]

    def _features(self, inputs: NDArray[np.float32]) -> NDArray[np.float32]:
        if self._turn is None:
            return self._compute.with_features(inputs)[1]
        with self._turn:
            return self._compute.with_features(inputs)[1]
