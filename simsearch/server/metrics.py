"""What the server counts and times, for Prometheus, by prometheus_client."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from simsearch.errors import ExtraMissing

if TYPE_CHECKING:
    from simsearch.engine.snapshot import Snapshot

SECONDS = (0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 30)
SIZES = (1, 2, 4, 8, 16, 32, 64)


class Metrics:
    """The figures of one server, in a registry of its own.

    Labels are routes, statuses and names of stages: nothing that a request says becomes one, so that their
    number is bounded. See https://prometheus.io/docs/practices/naming/ for the names.
    Raises ExtraMissing.
    """

    def __init__(self) -> None:
        try:
            import prometheus_client as prometheus
        except ImportError as exc:
            raise missing("prometheus-client") from exc
        self._text, self.kind = prometheus.generate_latest, prometheus.CONTENT_TYPE_LATEST
        self._registry = registry = prometheus.CollectorRegistry()
        self._requests = prometheus.Counter(
            "simsearch_requests", "Answers by route and status.", ("route", "status"), registry=registry
        )
        self._seconds = prometheus.Histogram(
            "simsearch_request_seconds",
            "From a request's first byte to its answer.",
            ("route",),
            buckets=SECONDS,
            registry=registry,
        )
        self._batches = prometheus.Histogram(
            "simsearch_batch_size",
            "Queries at once, through the network and through FAISS.",
            ("stage",),
            buckets=SIZES,
            registry=registry,
        )
        self._waiting = prometheus.Gauge(
            "simsearch_waiting", "What waits for a batch.", ("stage",), registry=registry
        )
        self._running = prometheus.Gauge(
            "simsearch_running", "Requests that are being answered.", registry=registry
        )
        self._photos = prometheus.Gauge(
            "simsearch_index_photos", "Photos that can be found.", registry=registry
        )
        self._generation = prometheus.Gauge(
            "simsearch_index_generation", "Commits to the index so far.", registry=registry
        )

    def answered(self, route: str, status: int, seconds: float) -> None:
        """Count an answer."""
        self._requests.labels(route, str(status)).inc()
        self._seconds.labels(route).observe(seconds)

    def batched(self, stage: str) -> Callable[[int], None]:
        """What counts the batches of a stage."""
        return self._batches.labels(stage).observe

    def watch(self, stage: str, waiting: Callable[[], int]) -> None:
        """Tell how many wait for a batch."""
        self._waiting.labels(stage).set_function(waiting)

    def watch_running(self, running: Callable[[], int]) -> None:
        """Tell how many requests are being answered."""
        self._running.set_function(running)

    def text(self, snapshot: Snapshot | None) -> bytes:
        """All figures; without an index those of it stay as they were."""
        if snapshot is not None:
            self._photos.set(snapshot.photos)
            self._generation.set(snapshot.generation)
        return self._text(self._registry)


def missing(package: str) -> ExtraMissing:
    """The error where a package of this extra is not installed."""
    return ExtraMissing(f'simsearch serve needs {package}. Install it with: pip install "simsearch[server]"')
