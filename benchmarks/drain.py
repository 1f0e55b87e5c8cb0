"""What the service costs around its runs.

* Drain: many runs of about a second. The time until the last one ends, against the sum of their task times on
  all slots, leaves claiming, starting a process, loading data, recording and finishing.
* Recording: the transaction that writes an epoch, on a database file and on a server. A run reports at most
  one epoch per second, so its milliseconds are tenths of a per cent of a run.
"""

from __future__ import annotations

import os
import statistics
import sys
import tempfile
import time
from datetime import datetime, timedelta
from pathlib import Path

from rich.console import Console

import migrations
from api.client import Client
from api.stack.demo import serving
from benchmarks.report import Report, options
from benchmarks.service import DIGITS, databases
from cil_core.spec.events import EpochFinished, RunStarted
from cil_core.spec.jobs import JobSpec
from store import runs
from store.database.session import Database

SLOTS = len(os.sched_getaffinity(0))
"""As many as `cil up` gives its worker."""

SEEDS_A_JOB, JOBS_AT_ONCE = 20, 20
"""Keeps the number of queued runs below a user's limit."""

METHOD = {
    "name": "finetune",
    "preset": "small",
    "first_task": {"epochs": 4, "milestones": []},
    "later_tasks": {"epochs": 3, "milestones": []},
}
"""About a second on one core."""


def drain(report: Report, count: int) -> None:
    """Submit this many runs and wait for the last one."""
    with (
        tempfile.TemporaryDirectory(prefix="cil-bench-") as folder,
        serving(Path(folder), Console(stderr=True)) as known,
        Client(known.server, known.token) as client,
    ):
        client.wait(
            client.submit(METHOD, DIGITS, [10**6, 10**6 + 1]).id
        )  # warm-up: workers are running, data is loaded
        jobs: list[str] = []
        for first in range(0, count, SEEDS_A_JOB):
            if len(jobs) >= JOBS_AT_ONCE:
                client.wait(jobs[-JOBS_AT_ONCE])
            jobs.append(client.submit(METHOD, DIGITS, list(range(first, min(first + SEEDS_A_JOB, count)))).id)
        told = [client.get(f"/runs/{run.id}") for job in jobs for run in client.wait(job).runs]
    began, ended = (
        sorted(datetime.fromisoformat(run[moment]) for run in told)
        for moment in ("started_at", "finished_at")
    )
    took, wall = (
        sum(task["seconds"] for run in told for task in run["tasks"]),
        (ended[-1] - began[0]).total_seconds(),
    )
    report.add(f"{count} runs: mean of what their tasks took", took / count, "s")
    report.add(f"{count} runs: until the last had ended", wall, "s")
    report.add(
        f"{count} runs: more than their tasks took, on {SLOTS} slots",
        100 * (wall * SLOTS / took - 1),
        "%",
        at_most=15,
    )


def recording(report: Report, kind: str, url: str, count: int) -> None:
    """Milliseconds to record an epoch; per second, tenths of a per cent."""
    migrations.upgrade(url)
    database = Database(url)
    spec = JobSpec.model_validate({"method": {"name": "finetune"}, "track": DIGITS, "seeds": [1]})
    with database.transaction() as session:
        runs.submit(session, spec, user_id=None, engine_version="1")
    with database.transaction() as session:
        claim = runs.claim(session, runs.WorkerOffer("worker", "cil", "cpu"), timedelta(hours=1))
    assert claim is not None
    started = RunStarted(
        engine_version="1",
        spec_digest=claim.spec.digest(),
        device="cpu",
        dataset_fingerprint="f" * 64,
        task_sizes=(2,) * 5,
        class_order=tuple(range(10)),
        resumed_at=0,
    )
    with database.transaction() as session:
        runs.record(session, claim, started)
    taken = []
    for epoch in range(count):
        event = EpochFinished(
            task=0, phase="fit", epoch=epoch, epochs=count, lr=0.1, losses={"classification": 1.0}
        )
        began = time.perf_counter()
        with database.transaction() as session:
            runs.record(session, claim, event)
        taken.append(time.perf_counter() - began)
    database.dispose()
    report.add(f"{kind}: recording, share of a run", 100 * statistics.median(taken), "%", at_most=1)


def main() -> int:
    """Measure and return the exit code."""
    chosen = options(__doc__ or "")
    report = Report("drain", "What the service around the runs costs")
    with (
        tempfile.TemporaryDirectory(prefix="cil-bench-") as folder,
        databases(Path(folder), not chosen.quick) as url_of,
    ):
        for kind in ("SQLite",) if chosen.quick else ("SQLite", "PostgreSQL"):
            recording(report, kind, url_of(kind, 1), 50 if chosen.quick else 300)
    drain(report, 20 if chosen.quick else 1000)
    return report.finish(chosen.out)


if __name__ == "__main__":
    sys.exit(main())
