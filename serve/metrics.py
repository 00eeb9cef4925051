"""The metrics: what the services did and what waits, in Prometheus's text."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from prometheus_client import CollectorRegistry, Counter, Histogram, ProcessCollector
from prometheus_client.core import GaugeMetricFamily, Metric, SummaryMetricFamily
from prometheus_client.exposition import generate_latest

from serve.service import Service

SECONDS = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
"""Bounds of the histogram of answers."""


class Metrics:
    """Counters of answers, and the queues and engines as they are when they are asked for.

    Names of models are those of the services, never what a request called one.
    """

    def __init__(self, services: Sequence[Service]) -> None:
        self.services, self.registry = services, CollectorRegistry()
        self.answers = Counter(
            "segnas_answers", "Answers to pictures.", ("model", "status"), registry=self.registry
        )
        self.seconds = Histogram(
            "segnas_answer_seconds",
            "From a picture's arrival to its answer.",
            ("model",),
            registry=self.registry,
            buckets=SECONDS,
        )
        self.registry.register(self)
        ProcessCollector(registry=self.registry)

    def count(self, service: Service, status: int, seconds: float) -> None:
        """An answer was given."""
        self.answers.labels(service.name, str(status)).inc()
        if status == 200:
            self.seconds.labels(service.name).observe(seconds)

    def collect(self) -> Iterator[Metric]:
        """What Prometheus's registry asks for: the queues and the engines now."""
        places = GaugeMetricFamily("segnas_places_taken", "Pictures in work.", labels=["model"])
        ready = GaugeMetricFamily("segnas_ready", "1 where it answers.", labels=["model"])
        engine = SummaryMetricFamily(
            "segnas_engine_seconds", "What the engine took for a picture.", labels=["model"]
        )
        for service in self.services:
            owner = service.owner
            places.add_metric([service.name], len(owner.places))
            ready.add_metric([service.name], service.ready)
            engine.add_metric([service.name], owner.calls, owner.seconds)
        yield from (places, ready, engine)

    def text(self) -> bytes:
        return generate_latest(self.registry)
