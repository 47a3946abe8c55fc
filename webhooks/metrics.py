"""What the receiver counts. Labels come from fixed sets only: no header, path or body may make a new series."""

import functools
from collections.abc import Callable

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from webhooks.batcher import BatchReport


class Metrics:
    """All counters of one receiver, in a registry of its own."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self._deliveries = Counter(
            "webhook_deliveries",
            "Deliveries by provider, HTTP status answered and reason",
            ("provider", "status", "reason"),
            registry=self.registry,
        )
        # Looking a child up by its labels costs more than counting.
        self._delivery_child = functools.cache(lambda labels: self._deliveries.labels(*labels))
        self._secrets = Counter(
            "webhook_verified",
            "Verified deliveries by the fingerprint of the secret that matched",
            ("provider", "secret_fingerprint"),
            registry=self.registry,
        )
        self._secret_child = functools.cache(lambda labels: self._secrets.labels(*labels))
        self._skew = Histogram(
            "webhook_clock_skew_seconds",
            "Our clock minus the sender's signed time, of verified deliveries",
            buckets=(-300, -60, -10, -2, 0, 2, 10, 60, 300),
            registry=self.registry,
        )
        self._batch_rows = Histogram(
            "webhook_batch_deliveries",
            "Deliveries per batch",
            buckets=(1, 2, 4, 8, 16, 32, 64, 128, 256),
            registry=self.registry,
        )
        self._commit = Histogram(
            "webhook_commit_seconds",
            "From taking a batch to its commit",
            buckets=(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5),
            registry=self.registry,
        )
        self._batch_errors = Counter(
            "webhook_batch_errors", "Batches with rows that were not written", registry=self.registry
        )
        self._reloads = Counter(
            "webhook_secret_reloads", "Reloads of the secrets by outcome", ("outcome",), registry=self.registry
        )
        self.wake_errors = Counter("webhook_wake_errors", "Wakes that could not be sent", registry=self.registry)

    def gauge(self, name: str, description: str, read: Callable[[], float]) -> None:
        """Show a number that is read whenever somebody asks."""
        Gauge(name, description, registry=self.registry).set_function(read)

    def delivery(self, provider: str, status: str, reason: str) -> None:
        """Count one answered delivery."""
        self._delivery_child((provider, status, reason)).inc()

    def verified(self, provider: str, fingerprint: str, skew_s: float | None) -> None:
        """Count one believed delivery."""
        self._secret_child((provider, fingerprint)).inc()
        if skew_s is not None:
            self._skew.observe(skew_s)

    def reload(self, outcome: str) -> None:
        """Count one reload of the secrets: `applied`, or `refused` where the old ones stay."""
        self._reloads.labels(outcome).inc()

    def batch(self, report: BatchReport) -> None:
        """Count one finished batch."""
        self._batch_rows.observe(len(report.accepted) + len(report.duplicates) + report.unavailable_count)
        self._commit.observe(report.commit_s)
        if report.unavailable_count:
            self._batch_errors.inc()

    def exposition(self) -> bytes:
        """Prometheus text."""
        return generate_latest(self.registry)
