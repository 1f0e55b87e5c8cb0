"""What Prometheus reads at `/metrics`: requests as they are answered, queues and leases as the database has them when it asks.

Decisions:
    * The database is asked when somebody reads, through the indexes of what is queued, running, or ended within the last hour: older runs cost
      nothing.
    * Routes are counted by their pattern, never by what a client wrote; what matches no route is `unmatched`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from store.database.session import Database
from store.queries import counts
from store.queries.queues import queues

MEDIA_TYPE = "text/plain; version=0.0.4; charset=utf-8"


class Metrics:
    """The numbers of one API process.

    Args:
        database: asked for queues, leases and workers.
        streams: how many event streams are open.
    """

    def __init__(self, database: Database, streams: Callable[[], int]) -> None:
        self._registry = CollectorRegistry()
        self.requests = Counter(
            "cil_requests", "Answered requests.", ["method", "route", "status"], registry=self._registry
        )
        self.latency = Histogram(
            "cil_request_seconds", "Seconds until an answer began.", ["route"], registry=self._registry
        )
        self._registry.register(_Service(database, streams))

    def text(self) -> bytes:
        """Everything in Prometheus' text format."""
        return generate_latest(self._registry)


class _Service(Collector):
    def __init__(self, database: Database, streams: Callable[[], int]) -> None:
        self._database = database
        self._streams = streams

    def describe(self) -> Iterable[GaugeMetricFamily]:
        """Nothing in advance: registering must not ask the database."""
        return []

    def collect(self) -> Iterable[GaugeMetricFamily]:
        """The state of the service at this moment."""
        with self._database.reading() as session:
            waiting, (running, expired), workers = (
                queues(session),
                counts.running(session),
                counts.active_workers(session),
            )
            ended, attempts, peaks = (
                counts.recently_ended_runs(session),
                counts.recently_ended_attempts(session),
                counts.recent_memory_peaks(session),
            )
        length = GaugeMetricFamily(
            "cil_queue_runs", "Queued runs, those that wait to be tried again included.", labels=["queue"]
        )
        ready = GaugeMetricFamily(
            "cil_queue_ready_runs", "Queued runs a worker could take at once.", labels=["queue"]
        )
        oldest = GaugeMetricFamily(
            "cil_queue_oldest_seconds", "How long the oldest ready run has waited.", labels=["queue"]
        )
        for queue in waiting:
            length.add_metric([queue.name], queue.length)
            ready.add_metric([queue.name], queue.ready)
            oldest.add_metric([queue.name], queue.oldest_seconds or 0)
        yield from (length, ready, oldest)
        states = {"queued": sum(queue.length for queue in waiting), "running": running, **ended}
        yield _labelled(
            "cil_runs",
            "Runs that wait or run, and those that ended within the last hour, by state.",
            "state",
            states,
        )
        yield _labelled(
            "cil_attempts_ended", "Attempts that ended within the last hour, by outcome.", "outcome", attempts
        )
        memory = GaugeMetricFamily(
            "cil_run_peak_bytes",
            "The most memory a run of the last hour held, on the host and on its device.",
            labels=["device", "memory"],
        )
        for device, kind, value in peaks:
            memory.add_metric([device, kind], value)
        yield memory
        yield GaugeMetricFamily("cil_running_runs", "Runs that are leased to a worker.", value=running)
        yield GaugeMetricFamily(
            "cil_expired_leases", "Leases that ran out and were not reaped yet.", value=expired
        )
        yield GaugeMetricFamily("cil_workers", "Workers heard of within two minutes.", value=workers)
        yield GaugeMetricFamily(
            "cil_event_streams", "Open event streams of this process.", value=self._streams()
        )


def _labelled(name: str, help_text: str, label: str, values: Mapping[str, float]) -> GaugeMetricFamily:
    family = GaugeMetricFamily(name, help_text, labels=[label])
    for value, count in values.items():
        family.add_metric([value], count)
    return family
