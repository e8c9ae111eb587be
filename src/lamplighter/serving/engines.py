"""`Engine`: a classifier that answers; `Engines`: those of a service, replaced while it runs."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import functools
import hashlib
import logging
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from lamplighter.auditing.thumbnails import file_state
from lamplighter.errors import BundleError, LamplighterError, ServiceError, UnknownModelError
from lamplighter.files.naming import shown
from lamplighter.inference.predictor import collected, compute, prepared
from lamplighter.inference.runtime import limit_threads, runtime
from lamplighter.machine import usable_cores
from lamplighter.names import suggestion
from lamplighter.saving.bundle import load
from lamplighter.saving.pretrained import is_pretrained, pretrained
from lamplighter.serving.logs import log
from lamplighter.serving.refusals import Refusal

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from lamplighter.errors import ImageError
    from lamplighter.inference.predictor import Computed, Predictions
    from lamplighter.models.classifier import Classifier
    from lamplighter.serving.batching import Prepare
    from lamplighter.serving.metrics import Metrics

_WARM = 4  # images
_VERSION = 12  # characters of the SHA-256 of a graph


class Engine:
    """A classifier that answers, on one thread for each call. It never changes.

    Args:
        name: of the model, in addresses.
        classifier: with an ONNX graph.

    Attributes:
        version: what tells it from one that takes its place.

    Raises:
        BundleError: it has no graph, or one that does not answer.
    """

    def __init__(self, name: str, classifier: Classifier) -> None:
        if classifier.graph is None:
            file = classifier.source or name
            raise BundleError(
                f"{file} has no ONNX graph, which a service needs; lamplighter export {file} "
                "--format bundle tries to make one."
            )
        limit_threads(classifier, 1)
        self.name = name
        self.classifier = classifier
        self.version = hashlib.sha256(classifier.graph).hexdigest()[:_VERSION]
        wanted = classifier.preprocessing
        self.shape = (wanted.channels, wanted.height, wanted.width)
        self.num_features = runtime(classifier).num_features
        self._warm_up()

    def _warm_up(self) -> None:
        """Answer once on as many threads as there are cores, which takes its memory beforehand."""
        images = np.zeros((_WARM, *self.shape), dtype=np.float32)
        with ThreadPoolExecutor(usable_cores()) as pool:
            list(pool.map(self.compute, [images] * usable_cores()))

    def compute(self, inputs: NDArray[np.float32], *, keep_features: bool = False) -> Computed:
        """Return what the network makes of preprocessed images (N, C, H, W).

        Raises:
            ModelError: it answers NaN.
        """
        return compute(self.classifier, inputs, keep_features=keep_features)

    def prepare(self, image: bytes, *, as_is: bool = False, scaled: bool = True) -> Prepare:
        """Return what makes the network's input of an image file's bytes, when it is called.

        Args:
            image: the bytes.
            as_is: look for no digit in it.
            scaled: decode a JPEG at a reduced scale where the result is nearly the same.
        """
        preprocessing = self.classifier.preprocessing
        if as_is:
            preprocessing = dataclasses.replace(preprocessing, find_digit=False)
        return functools.partial(prepared, preprocessing, image, scaled=scaled)

    def predictions(
        self,
        results: Sequence[Computed | ImageError],
        *,
        sources: Sequence[str] = (),
        always_answer: bool = False,
    ) -> Predictions:
        """Return the predictions of images that were computed one by one."""
        errors = {place: one for place, one in enumerate(results) if isinstance(one, Exception)}
        parts = [one for one in results if not isinstance(one, Exception)]
        return collected(
            self.classifier,
            parts,
            sources=tuple(sources),
            errors=errors,
            measure=not always_answer,
        )


class Engines:
    """The engines of a service by name.

    Args:
        bundles: paths of bundles, or names of pretrained networks.
        metrics: where replacements are counted.

    Raises:
        ServiceError: two have one name.
        BundleError: one cannot be used.
        UnknownModelError: there is neither a file nor a network of a name.
    """

    def __init__(self, bundles: Sequence[Path], metrics: Metrics) -> None:
        self._metrics = metrics
        self._paths = named(bundles)
        self._states = {name: file_state(path) for name, path in self._paths.items()}
        self._engines = {name: _engine(name, path) for name, path in self._paths.items()}
        self._changing = threading.Lock()

    def __len__(self) -> int:
        return len(self._engines)

    @property
    def current(self) -> Mapping[str, Engine]:
        """The engines by name, in the order in which they were given."""
        return self._engines

    def chosen(self, name: str | None) -> Engine:
        """Return the engine of a request, which names it unless there is only one.

        Raises:
            Refusal: it names none of several (400), or one that is not there (404).
        """
        if name is None:
            if len(self._engines) == 1:
                return next(iter(self._engines.values()))
            raise Refusal(
                400,
                f"this service has several models; choose one with model=NAME: "
                f"{', '.join(self._engines)}.",
            )
        engine = self._engines.get(name)
        if engine is None:
            told = suggestion(name, self._engines, opening="there is")
            raise Refusal(404, f"there is no model {name[:200]!r}; {told}")
        return engine

    def refresh(self) -> list[str]:
        """Load each bundle whose file was replaced; return the names of those that answer now.

        One that cannot be loaded changes nothing: the engine before it goes on answering, and the
        log says why. It is tried again when its file changes again.
        """
        with self._changing:
            return [name for name, path in self._paths.items() if self._refreshed(name, path)]

    async def watch(self, seconds: float) -> None:
        """Look at the files from time to time, for ever."""
        loop = asyncio.get_running_loop()
        while True:
            await asyncio.sleep(seconds)
            await loop.run_in_executor(None, self.refresh)

    def _refreshed(self, name: str, path: Path) -> bool:
        state = file_state(path)
        if state in ((), self._states[name]):  # gone: what was loaded goes on answering
            return False
        try:
            engine = _engine(name, path)
        except Exception as error:  # whatever is the matter with it, the old one is good
            self._states[name] = state
            self._metrics.reloads.labels(name, "failed").inc()
            log(logging.ERROR, "bundle refused", model=name, path=shown(path), error=str(error))
            return False
        if file_state(path) != state:  # it was written to meanwhile; look again
            return False
        self._states[name] = state
        self._engines = {**self._engines, name: engine}
        self._metrics.reloads.labels(name, "loaded").inc()
        log(logging.INFO, "bundle loaded", model=name, path=shown(path), version=engine.version)
        return True


def named(bundles: Sequence[Path]) -> dict[str, Path]:
    """Return the bundles by the names of their models: those of the files, without .lamp.

    Raises:
        ServiceError: two have one name, or it cannot stand in an address.
    """
    names: dict[str, Path] = {}
    for path in bundles:
        name = path.stem if path.suffix.lower() == ".lamp" or path.exists() else path.name
        if name in names:
            raise ServiceError(
                f"each model needs a name of its own, received {shown(names[name])} and "
                f"{shown(path)}, both {name!r}; rename one of the files."
            )
        names[name] = path
    return names


def _engine(name: str, path: Path) -> Engine:
    if not is_pretrained(path):
        return Engine(name, load(path))
    try:
        return Engine(name, pretrained(str(path)))
    except UnknownModelError as error:
        raise UnknownModelError(f"there is no file {shown(path)}, and {error}") from error


def described(engine: Engine) -> dict[str, Any]:
    """Return what there is to know of a model before asking it, as plain JSON types."""
    classifier = engine.classifier
    trust = classifier.trust
    return {
        "name": engine.name,
        "version": engine.version,
        "classes": list(classifier.class_names),
        "preprocessing": classifier.preprocessing.describe(),
        "says_unknown": trust is not None and trust.reference is not None,
        "features": engine.num_features,
    }


def quiet(error: BaseException) -> str:
    """Return one line for an error that nobody expected."""
    if isinstance(error, LamplighterError):
        return str(error)
    with contextlib.suppress(Exception):
        return f"{type(error).__name__}: {error}".splitlines()[0][:300]
    return type(error).__name__
