"""`Service`: what the endpoints share: engines, batches, the index, limits and counts."""

from __future__ import annotations

import asyncio
import contextlib
import time
from typing import TYPE_CHECKING, Any

from starlette.concurrency import run_in_threadpool

from lamplighter.errors import ImageError, ServiceError, SimilarIndexError
from lamplighter.features.extraction import fingerprint
from lamplighter.features.index.index import Index
from lamplighter.features.similar import classifier_of
from lamplighter.serving.batching import Batcher, late
from lamplighter.serving.bodies import BodyReader
from lamplighter.serving.engines import Engine, Engines
from lamplighter.serving.metrics import Metrics
from lamplighter.serving.refusals import Refusal

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

    from starlette.applications import Starlette
    from starlette.requests import Request

    from lamplighter.features.index.index import Hit
    from lamplighter.inference.predictor import Computed
    from lamplighter.serving.batching import Job, Prepare
    from lamplighter.serving.settings import Settings


class Service:
    """What the endpoints of one process share.

    Args:
        settings: what it was told.

    Attributes:
        settings: the same.
        metrics: what it counts.
        engines: its models.
        bodies: reads requests.
        batcher: computes images.
        index: of similar images; None without one.
        draining: whether it ends as soon as all is answered.

    Raises:
        ServiceError: two models have one name.
        BundleError: one cannot be used.
        SimilarIndexError: the index cannot be used, or its network cannot be had.
    """

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.metrics = Metrics()
        self.engines = Engines(settings.bundles, self.metrics)
        self.bodies = BodyReader(settings)
        self.batcher = Batcher(
            self.metrics,
            threads=settings.threads,
            max_batch=settings.max_batch,
            max_delay=settings.max_delay,
            max_queue=settings.max_queue,
        )
        self.index = None if settings.index is None else SimilarImages(settings, self.engines)
        self.draining = False

    @contextlib.asynccontextmanager
    async def running(self, _: Starlette | None = None) -> AsyncIterator[None]:
        """Compute what is asked, and look for replaced bundles, as long as this lasts."""
        self.batcher.start()
        watching = asyncio.create_task(self.engines.watch(self.settings.watch))
        try:
            yield
        finally:
            watching.cancel()
            await run_in_threadpool(self.batcher.stop)
            if self.index is not None:
                self.index.close()

    async def compute(
        self,
        request: Request,
        engine: Engine,
        prepares: Sequence[Prepare],
        *,
        keep_features: bool = False,
    ) -> list[Computed | ImageError]:
        """Return what was computed of each image of a request, or why it cannot be used.

        Raises:
            Refusal: there is no place in the queue (503), or no answer in time (504).
        """
        deadline = time.monotonic() + self.settings.deadline
        job = self.batcher.submit(engine, prepares, deadline=deadline, keep_features=keep_features)
        results = await self._waited(request, job)
        failed = [one for one in results if isinstance(one, ImageError)]
        for error in failed:
            self.metrics.refused.labels(error.fault).inc()
        self.metrics.images.labels(engine.name).inc(len(results) - len(failed))
        return results

    async def _waited(self, request: Request, job: Job) -> list[Computed | ImageError]:
        """Wait for a job, until its deadline, or until nobody waits for the answer."""
        gone = asyncio.ensure_future(request.receive())  # after the body, the end comes alone
        try:
            waited: set[asyncio.Future[Any]] = {job.future, gone}
            done, _ = await asyncio.wait(
                waited,
                timeout=self.settings.deadline,
                return_when=asyncio.FIRST_COMPLETED,
            )
        finally:
            gone.cancel()
        if job.future in done:
            return job.future.result()
        job.gone = True
        job.future.cancel()
        if not done:
            raise late()
        raise Refusal(499, "the connection ended before the answer.", reason="gone", close=True)


class SimilarImages:
    """An index of similar images, and the network that it was made with.

    Args:
        settings: with the path of the index.
        engines: of the service; the network of one is used where it is that of the index.

    Attributes:
        engine: computes the vectors.
        scaled: whether large JPEG files were decoded at a smaller scale for the index.

    Raises:
        SimilarIndexError: the index cannot be used, or its network cannot be had.
    """

    def __init__(self, settings: Settings, engines: Engines) -> None:
        if settings.index is None:
            raise ServiceError("an index was expected, received none.")
        self._index = Index.open(settings.index)
        self.engine, self.scaled = self._network(engines)
        if self.engine.num_features is None:
            raise SimilarIndexError(f"the network of {settings.index} gives no features.")
        self._index.prepare()

    def _network(self, engines: Engines) -> tuple[Engine, bool]:
        for engine in engines.current.values():
            for scaled in (True, False):
                if fingerprint(engine.classifier, scaled=scaled) == self._index.network:
                    return engine, scaled
        classifier = classifier_of(self._index)
        for scaled in (True, False):
            if fingerprint(classifier, scaled=scaled) == self._index.network:
                return Engine("index", classifier), scaled
        raise SimilarIndexError(
            f"{self._index.path} was made with another network than the one that it names; embed "
            "the folder again."
        )

    async def search(
        self, computed: Sequence[Computed], k: int, where: dict[str, str]
    ) -> list[list[Hit]]:
        """Return for each image the `k` most similar ones.

        Raises:
            SimilarIndexError: no image has what `where` asks for, or the index is damaged.
        """
        import numpy as np

        vectors = [one.features for one in computed if one.features is not None]
        if not vectors:
            return []
        return await run_in_threadpool(self._index.search, np.concatenate(vectors), k, where=where)

    def close(self) -> None:
        """Let the file go."""
        self._index.close()
