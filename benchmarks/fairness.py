"""How long each user waits, when users take turns and when the oldest run goes first: a simulation.

50 users submit 1 to 10 000 runs of a minute on average, all within an hour. Workers take one at a time. The
rule of `store.runs.turns` is simulated for every fleet; a claim on a real database is measured beside it.
"""

from __future__ import annotations

import heapq
import random
import statistics
import sys
import tempfile
import time
from collections import deque
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

from benchmarks.report import Report, options
from cil_core.spec.jobs import JobSpec
from migrations import upgrade
from store import runs
from store.access.accounts import create_user
from store.database.session import Database, sqlite_url

USERS = 50
MINUTE = 60.0
Arrival = tuple[float, int]  # second, user


def arrivals(generator: random.Random, largest: int) -> list[Arrival]:
    """Runs in the order of submission: sizes from 1 to `largest`, evenly on a logarithmic scale."""
    found: list[Arrival] = []
    for user in range(USERS):
        size = round(largest ** (user / (USERS - 1)))
        found += [(generator.uniform(0, 3600), user)] * size
    return sorted(found)


def oldest_first(
    waiting: list[deque[float]], _running: list[int], _started: list[float]
) -> Callable[[int], tuple[float, ...]]:
    """The rule before: the oldest run goes first."""
    return lambda user: (waiting[user][0], user)


def in_turn(
    _waiting: list[deque[float]], running: list[int], started: list[float]
) -> Callable[[int], tuple[float, ...]]:
    """The rule of `store.runs.turns`, for equal shares."""
    return lambda user: (running[user], started[user], user)


def waits(
    rule: Callable[..., Callable[[int], tuple[float, ...]]], submitted: list[Arrival], workers: int
) -> list[float]:
    """Seconds until a user's first run starts, on average per user."""
    generator = random.Random(1)
    waiting: list[deque[float]] = [deque() for _ in range(USERS)]
    running, started = [0] * USERS, [-1.0] * USERS
    first: dict[int, float] = {}
    key = rule(waiting, running, started)
    ends: list[tuple[float, int]] = []
    pending, free, moment = deque(submitted), workers, 0.0
    while len(first) < USERS:
        while pending and pending[0][0] <= moment:
            second, user = pending.popleft()
            waiting[user].append(second)
        while free and (ready := [user for user in range(USERS) if waiting[user]]):
            user = min(ready, key=key)
            second = waiting[user].popleft()
            first.setdefault(user, moment - second)
            running[user], started[user], free = running[user] + 1, moment, free - 1
            heapq.heappush(ends, (moment + generator.expovariate(1 / MINUTE), user))
        if ends and (not pending or ends[0][0] <= pending[0][0]):
            moment, user = heapq.heappop(ends)
            running[user], free = running[user] - 1, free + 1
        else:
            moment = pending[0][0]
    return [first[user] for user in range(USERS)]


def simulate(report: Report, largest: int, fleet: list[int]) -> None:
    """Median and longest wait for a first run, by fleet and rule."""
    submitted = arrivals(random.Random(1993), largest)
    for workers in fleet:
        for name, rule in (("oldest first", oldest_first), ("in turn", in_turn)):
            found = waits(rule, submitted, workers)
            label = f"{workers} workers, {name}"
            report.add(f"{label}: median wait for a first run", statistics.median(found) / MINUTE, "min")
            report.add(f"{label}: longest wait for a first run", max(found) / MINUTE, "min")


def claims(report: Report, folder: Path, runs_each: int) -> None:
    """Time of a claim among the runs of 50 users, on SQLite."""
    url = sqlite_url(folder / "fairness.sqlite3")
    upgrade(url)
    database = Database(url)
    spec = {"method": {"name": "finetune"}, "track": "digits-b0-inc2-m50-convnet"}
    for user in range(USERS):
        with database.transaction() as session:
            owner = create_user(session, f"user {user}").id
            for start in range(0, runs_each, 100):
                seeds = [1000 * runs_each * user + start + one for one in range(min(100, runs_each - start))]
                job = JobSpec.model_validate({**spec, "seeds": seeds})
                runs.submit(session, job, user_id=owner, engine_version="1")
    offer, taken = runs.WorkerOffer("worker", "cil", "cpu"), []
    for _ in range(200):
        began = time.perf_counter()
        with database.transaction() as session:
            runs.claim(session, offer, timedelta(minutes=1))
        taken.append(1000 * (time.perf_counter() - began))
    database.dispose()
    report.add(
        f"claim among {USERS * runs_each} runs of {USERS} users: median", statistics.median(taken), "ms"
    )
    report.add("the same: 95 % of claims", statistics.quantiles(taken, n=20)[-1], "ms", at_most=20)


def main() -> int:
    """Measure and return the exit code."""
    chosen = options(__doc__ or "")
    report = Report("fairness", "How long users wait for their first run")
    simulate(report, 300 if chosen.quick else 10_000, [1, 20] if chosen.quick else [1, 20, 100, 500])
    with tempfile.TemporaryDirectory(prefix="cil-bench-") as folder:
        claims(report, Path(folder), 20 if chosen.quick else 200)
    return report.finish(chosen.out)


if __name__ == "__main__":
    sys.exit(main())
