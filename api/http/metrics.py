"""Metrics for Prometheus: requests of this process; queues, leases and workers from the database.

Decisions:
    * Each scrape queries the database through indexes of queued, running and recently ended runs. Older runs
      cost nothing.
    * Requests are counted by the route's pattern, never by the requested path; other requests count as
      `unmatched`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from store.database.session import Database
from store.queries import counts
from store.queries.queues import Queue, queues

MEDIA_TYPE = "text/plain; version=0.0.4; charset=utf-8"


class Metrics:
    """The numbers of one API process.

    Args:
        database: queried for queues, leases and workers.
        streams: returns the number of open event streams.
    """

    def __init__(self, database: Database, streams: Callable[[], int]) -> None:
        self._registry = CollectorRegistry()
        self.requests = Counter(
            "cil_requests", "Answered requests.", ["method", "route", "status"], registry=self._registry
        )
        self.latency = Histogram(
            "cil_request_seconds", "Seconds until the response started.", ["route"], registry=self._registry
        )
        self._registry.register(_Service(database, streams))

    def text(self) -> bytes:
        """All metrics in Prometheus' text format."""
        return generate_latest(self._registry)


class _Service(Collector):
    def __init__(self, database: Database, streams: Callable[[], int]) -> None:
        self._database = database
        self._streams = streams

    def describe(self) -> Iterable[GaugeMetricFamily]:
        """Nothing: registration must not query the database."""
        return []

    def collect(self) -> Iterable[GaugeMetricFamily]:
        """The current state of the service."""
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
        yield from _of_queues(waiting)
        states = {"queued": sum(queue.length for queue in waiting), "running": running, **ended}
        yield _labelled(
            "cil_runs",
            "Queued and running runs, and runs that ended within the last hour, by state.",
            "state",
            states,
        )
        yield _labelled(
            "cil_attempts_ended", "Attempts that ended within the last hour, by outcome.", "outcome", attempts
        )
        yield _of_memory(peaks)
        yield GaugeMetricFamily("cil_running_runs", "Runs leased to a worker.", value=running)
        yield GaugeMetricFamily(
            "cil_expired_leases", "Expired leases that are not reaped yet.", value=expired
        )
        yield GaugeMetricFamily("cil_workers", "Workers seen within the last two minutes.", value=workers)
        yield GaugeMetricFamily(
            "cil_event_streams", "Open event streams of this process.", value=self._streams()
        )


def _of_queues(waiting: Iterable[Queue]) -> Iterable[GaugeMetricFamily]:
    """Length, claimable runs and longest wait of each queue."""
    length = GaugeMetricFamily(
        "cil_queue_runs", "Queued runs, including those that wait for a retry.", labels=["queue"]
    )
    ready = GaugeMetricFamily(
        "cil_queue_ready_runs", "Queued runs that a worker could claim now.", labels=["queue"]
    )
    oldest = GaugeMetricFamily(
        "cil_queue_oldest_seconds", "Waiting time of the oldest ready run.", labels=["queue"]
    )
    for queue in waiting:
        length.add_metric([queue.name], queue.length)
        ready.add_metric([queue.name], queue.ready)
        oldest.add_metric([queue.name], queue.oldest_seconds or 0)
    return length, ready, oldest


def _of_memory(peaks: Iterable[tuple[str, str, float]]) -> GaugeMetricFamily:
    """The largest peak per device and kind of memory."""
    family = GaugeMetricFamily(
        "cil_run_peak_bytes",
        "Peak memory of a run within the last hour, on the host and on its device.",
        labels=["device", "memory"],
    )
    for device, kind, value in peaks:
        family.add_metric([device, kind], value)
    return family


def _labelled(name: str, help_text: str, label: str, values: Mapping[str, float]) -> GaugeMetricFamily:
    family = GaugeMetricFamily(name, help_text, labels=[label])
    for value, count in values.items():
        family.add_metric([value], count)
    return family
