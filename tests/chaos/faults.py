"""What is done to a stage, one fault at a time, and the people who use the service meanwhile."""

from __future__ import annotations

import random
import signal
import sqlite3
import threading
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field

import redis as redis_client
from sqlalchemy import select
from sqlalchemy.exc import OperationalError

from api.client import ApiError, ClientError
from store.doorbell import CELERY_CONFIG, DEFAULT_QUEUE, MESSAGE, RING_OPTIONS
from store.models import Run
from tests.chaos.stage import Service, Stage

TRACK = "digits-b0-inc2-m50-convnet"
SCHEDULE = {"epochs": 6, "batch_size": 32, "lr": 0.05}
RECIPES = [{"name": name, "first_task": SCHEDULE, "later_tasks": SCHEDULE} for name in ("finetune", "replay", "icarl")]
SEEDS = (1, 2, 3)
OUTSTANDING = 8


@dataclass(slots=True)
class Blow:
    """A worker or a child was hit while it held runs."""

    at: float  # seconds since the epoch, by this machine's clock, which is the database's
    held: list[tuple[str, int]]  # run, attempt


@dataclass(slots=True)
class Record:
    """What was done and what was answered."""

    faults: Counter[str] = field(default_factory=Counter)
    skipped: dict[str, str] = field(default_factory=dict)
    blows: list[Blow] = field(default_factory=list)
    acknowledged: dict[str, str] = field(default_factory=dict)  # job by name
    unacknowledged: list[str] = field(default_factory=list)
    cancelled: set[str] = field(default_factory=set)


class Users:
    """Submit without end, and cancel now and then."""

    def __init__(self, stage: Stage, chance: random.Random, record: Record) -> None:
        self.stage, self.chance, self.record = stage, chance, record

    def submit(self) -> None:
        name = f"job {len(self.record.acknowledged) + len(self.record.unacknowledged)}"
        try:
            job = self.stage.client.submit(self.chance.choice(RECIPES), TRACK, self.chance.sample(SEEDS, self.chance.choice((1, 2))), name=name, force=True)
        except ClientError:
            self.record.unacknowledged.append(name)
        else:
            self.record.acknowledged[name] = job.id

    def cancel(self) -> None:
        job_id = self.chance.choice(list(self.record.acknowledged.values())[-OUTSTANDING:])
        with suppress(ClientError):
            try:
                self.stage.client.cancel(job_id)
            except ApiError as error:
                if error.status != 409:  # it has ended
                    raise
            else:
                self.record.cancelled.add(job_id)

    def act(self) -> None:
        """Keep the queue filled."""
        if self._outstanding() < OUTSTANDING:
            self.submit()
        if self.record.acknowledged and self.chance.random() < 0.1:
            self.cancel()

    def _outstanding(self) -> int:
        try:
            with self.stage.database.reading() as session:
                return len(session.scalars(select(Run.id).where(Run.finished_at.is_(None))).all())
        except OperationalError:
            return 0


class Faults:
    """Everything that can go wrong, by name.

    Args:
        stage: where.
        chance: decides.
        record: what was done.
        absence: seconds for which Redis stays away.
    """

    def __init__(self, stage: Stage, chance: random.Random, record: Record, absence: float) -> None:
        self.stage, self.chance, self.record, self.absence = stage, chance, record, absence
        self.threads: list[threading.Thread] = []
        self.every: dict[str, Callable[[], None]] = {
            "SIGKILL child": self.kill_child,
            "SIGKILL worker": self.kill_worker,
            "SIGKILL API": self.kill_api,
            "SIGKILL Redis": self.kill_redis,
            "SIGSTOP worker past its lease": self.stall_worker,
            "Redis FLUSHALL": self.flush_redis,
            "Redis absent": self.absent_redis,
            "doorbells duplicated and delayed": self.ring,
            "disk full for checkpoints": self.fill_disk,
        }
        if stage.server:
            self.every["PostgreSQL restart"] = self.restart_database
        if stage.no_small_disk:
            record.skipped["disk full for checkpoints"] = stage.no_small_disk

    def inject(self, name: str) -> None:
        """One fault; it has happened, or is counted as skipped with a reason, when this returns."""
        if name not in self.record.skipped:
            self.every[name]()
            self.record.faults[name] += 1

    def join(self) -> None:
        """Wait for what happens in the background."""
        for thread in self.threads:
            thread.join()

    # ------------------------------------------------------------------ processes

    def kill_child(self) -> None:
        children = [(worker, child) for worker in self.stage.workers for child in worker.runners()]
        if children:
            worker, child = self.chance.choice(children)
            self._note_blow(worker)
            with suppress(ProcessLookupError):
                child.send_signal(signal.SIGKILL)

    def kill_worker(self) -> None:
        worker = self.chance.choice(self.stage.workers)
        self._note_blow(worker)
        worker.kill()
        self._later(self.chance.uniform(0, 2), worker.start)

    def kill_api(self) -> None:
        self.stage.api.kill()
        self._later(self.chance.uniform(0, 2), self.stage.api.start)

    def stall_worker(self) -> None:
        worker = self.chance.choice(self.stage.workers)
        if not worker.is_running:
            return
        self._note_blow(worker)
        worker.signal(signal.SIGSTOP)
        if self._holds_the_file():  # SQLite's one write lock dies with its holder only: whoever stops there stops everybody, on any design
            worker.signal(signal.SIGCONT)
            return
        self._later(self.stage.lease * 1.5, lambda: worker.signal(signal.SIGCONT))

    # ------------------------------------------------------------------ services

    def kill_redis(self) -> None:
        self.stage.redis.kill()
        self._later(self.chance.uniform(0, 2), self.stage.redis.start)

    def absent_redis(self) -> None:
        self.stage.redis.kill()
        self._later(self.absence, self.stage.redis.start)

    def flush_redis(self) -> None:
        with suppress(redis_client.ConnectionError), redis_client.from_url(self.stage.redis_url) as connection:
            connection.flushall()

    def ring(self) -> None:
        """Three at once, and two that arrive when nobody expects them."""
        for delay in (0, 0, 0, self.chance.uniform(1, 3), self.chance.uniform(3, 6)):
            self._later(delay, self._ring_once)

    def restart_database(self) -> None:
        assert self.stage.server is not None
        self.stage.server.restart()

    def fill_disk(self) -> None:
        filler = self.stage.checkpoints / "filler"
        with suppress(OSError), filler.open("wb") as file:
            while True:
                file.write(b"\0" * 2**16)
        self._later(self.chance.uniform(0.5, 2), lambda: filler.unlink(missing_ok=True))

    # ------------------------------------------------------------------ parts

    def _note_blow(self, worker: Service) -> None:
        with suppress(OperationalError), self.stage.database.reading() as session:
            held = session.execute(select(Run.id, Run.attempt).where(Run.worker_id.like(f"%-{worker.pid}-%")))
            self.record.blows.append(Blow(time.time(), [(run_id, attempt) for run_id, attempt in held]))

    def _holds_the_file(self) -> bool:
        if self.stage.server:
            return False
        connection = sqlite3.connect(str(self.stage.database.engine.url.database), timeout=0.5, isolation_level=None)
        try:
            connection.execute("BEGIN IMMEDIATE")
        except sqlite3.OperationalError:
            return True
        finally:
            connection.close()
        return False

    def _ring_once(self) -> None:
        from celery import Celery
        from kombu.exceptions import OperationalError as RedisAway

        app = Celery("chaos", broker=self.stage.redis_url, set_as_current=False)
        app.conf.update(CELERY_CONFIG)
        with suppress(RedisAway, redis_client.ConnectionError):
            app.send_task(MESSAGE, queue=DEFAULT_QUEUE, **RING_OPTIONS)
        app.close()

    def _later(self, seconds: float, action: Callable[[], object]) -> None:
        thread = threading.Timer(seconds, action)
        thread.start()
        self.threads.append(thread)
