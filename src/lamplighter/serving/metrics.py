"""What a service counts and measures, for Prometheus."""

from __future__ import annotations

import os

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_LATEST

# Where the processes of one service keep their counts, so that each can tell those of all.
SHARED_FOLDER = "PROMETHEUS_MULTIPROC_DIR"
CONTENT_TYPE = CONTENT_TYPE_LATEST
_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)
_SIZES = (1, 2, 4, 8, 16, 32, 64, 128)


class Metrics:
    """Counters and histograms of one service."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        self.requests = Counter(
            "lamplighter_requests",
            "Requests by endpoint and status.",
            ["endpoint", "status"],
            registry=self._registry,
        )
        self.request_seconds = Histogram(
            "lamplighter_request_seconds",
            "Time from the head of a request to the end of its answer.",
            ["endpoint"],
            buckets=_SECONDS,
            registry=self._registry,
        )
        self.queue = Gauge(
            "lamplighter_queue_images",
            "Images that wait to be computed.",
            multiprocess_mode="livesum",
            registry=self._registry,
        )
        self.batch_images = Histogram(
            "lamplighter_batch_images",
            "Images computed at a time.",
            buckets=_SIZES,
            registry=self._registry,
        )
        self.batch_seconds = Histogram(
            "lamplighter_batch_seconds",
            "Time that a batch took, from the files to the answers.",
            buckets=_SECONDS,
            registry=self._registry,
        )
        self.images = Counter(
            "lamplighter_images", "Images answered.", ["model"], registry=self._registry
        )
        self.refused = Counter(
            "lamplighter_images_refused",
            "Images not answered, by reason.",
            ["reason"],
            registry=self._registry,
        )
        self.reloads = Counter(
            "lamplighter_reloads",
            "Bundles that were replaced, by what came of it.",
            ["model", "result"],
            registry=self._registry,
        )

    def exposition(self) -> bytes:
        """Return all of it in the text format of Prometheus, over all processes."""
        registry = self._registry
        if SHARED_FOLDER in os.environ:
            from prometheus_client.multiprocess import MultiProcessCollector

            registry = CollectorRegistry()
            MultiProcessCollector(registry)  # type: ignore[no-untyped-call]
        return generate_latest(registry)
