"""The faults that hit a stage, one at a time, and the users who work on the service meanwhile.

The script (`tests/chaos/script.py`) says which fault comes next. Whether it hits anything depends on the
moment: each fault returns whether it took effect, and only then counts.
"""

from __future__ import annotations

import errno
import signal
import sqlite3
import threading
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial

import psutil
import redis as redis_client
from sqlalchemy import select
from sqlalchemy.exc import OperationalError

from api.client import ApiError, ClientError
from store.celery_config import CELERY_CONFIG, DEFAULT_QUEUE, MESSAGE, RING_OPTIONS
from store.database.models import Run
from tests.chaos.script import Act, Step, T, among
from tests.chaos.stage import Service, Stage

TRACK = "digits-b0-inc2-m50-convnet"
OUTSTANDING = 8
PATIENCE = 3.0
"""Seconds a fault waits for a process to hit."""


@dataclass(slots=True)
class Blow:
    """A worker or a child was hit while it held runs."""

    at: float  # seconds since the epoch, by this machine's clock, which is the database's
    held: list[tuple[str, int]]  # run, attempt


@dataclass(slots=True)
class Record:
    """The faults and the answers of the service."""

    faults: Counter[str] = field(default_factory=Counter)  # that took effect
    missed: Counter[str] = field(default_factory=Counter)  # that hit nothing
    skipped: dict[str, str] = field(default_factory=dict)
    blows: list[Blow] = field(default_factory=list)
    acknowledged: dict[str, str] = field(default_factory=dict)  # job by name
    unacknowledged: list[str] = field(default_factory=list)
    cancelled: set[str] = field(default_factory=set)


class Users:
    """They submit jobs without end, and cancel some."""

    def __init__(self, stage: Stage, record: Record) -> None:
        self.stage, self.record = stage, record

    def act(self, act: Act) -> None:
        """Keep the queue filled; cancel where the script says so."""
        if self._outstanding() < OUTSTANDING:
            self._submit(act)
        if self.record.acknowledged and act.cancels:
            self._cancel(act)

    def _submit(self, act: Act) -> None:
        name = f"job {len(self.record.acknowledged) + len(self.record.unacknowledged)}"
        try:
            job = self.stage.client.submit(act.recipe, TRACK, list(act.seeds), name=name, force=True)
        except ClientError:
            self.record.unacknowledged.append(name)
        else:
            self.record.acknowledged[name] = job.id

    def _cancel(self, act: Act) -> None:
        job_id = among(list(self.record.acknowledged.values())[-OUTSTANDING:], act.where)
        with suppress(ClientError):
            try:
                self.stage.client.cancel(job_id)
            except ApiError as error:
                if error.status != 409:  # the job has ended
                    raise
            else:
                self.record.cancelled.add(job_id)

    def _outstanding(self) -> int:
        try:
            with self.stage.database.reading() as session:
                return len(session.scalars(select(Run.id).where(Run.finished_at.is_(None))).all())
        except OperationalError:
            return 0


class Faults:
    """Everything that can go wrong, by name.

    Args:
        stage: the service to hit.
        record: counts the faults.
        absence: seconds for which Redis stays away.
    """

    def __init__(self, stage: Stage, record: Record, absence: float) -> None:
        self.stage, self.record, self.absence = stage, record, absence
        self.threads: list[threading.Thread] = []
        self.every: dict[str, Callable[[Step], bool]] = {
            "SIGKILL child": self.kill_child,
            "SIGKILL worker": self.kill_worker,
            "SIGKILL API": self.kill_api,
            "SIGKILL Redis": self.kill_redis,
            "SIGSTOP worker past its lease": self.stall_worker,
            "Redis FLUSHALL": self.flush_redis,
            "Redis absent": self.absent_redis,
            "wake-ups duplicated and delayed": self.ring,
            "disk full for checkpoints": self.fill_disk,
        }
        if stage.server:
            self.every["PostgreSQL restart"] = self.restart_database
        if stage.no_small_disk:
            del self.every["disk full for checkpoints"]
            record.skipped["disk full for checkpoints"] = stage.no_small_disk

    @property
    def longest_wait(self) -> float:
        """Seconds that one fault waits at most for Redis or a process."""
        return PATIENCE + self.absence

    @property
    def child_wait(self) -> float:
        """Seconds in which a child runs, even if both workers were hit."""
        return 60 + 2 * self.stage.lease

    def inject(self, step: Step) -> None:
        """Inject the fault of a step and count it by whether it took effect."""
        counter = self.record.faults if self.every[step.fault](step) else self.record.missed
        counter[step.fault] += 1

    def join(self) -> None:
        """Wait for the actions in the background."""
        for thread in self.threads:
            thread.join()

    # ------------------------------------------------------------------ processes

    def kill_child(self, step: Step) -> bool:
        children = self._await(
            lambda: [(worker, child) for worker in self.stage.workers for child in worker.runners()],
            self.child_wait,
        )
        if not children:
            return False
        worker, child = among(children, step.where)
        self._note_blow(worker)
        try:
            child.send_signal(signal.SIGKILL)
        except (ProcessLookupError, psutil.NoSuchProcess):
            return False
        return True

    def kill_worker(self, step: Step) -> bool:
        running = self._await(lambda: [worker for worker in self.stage.workers if worker.is_running])
        if not running:
            return False
        worker = among(running, step.where)
        self._note_blow(worker)
        worker.kill()
        self._later(2 * step.delay, worker.start)
        return True

    def kill_api(self, step: Step) -> bool:
        if not self._await(lambda: self.stage.api.is_running):
            return False
        self.stage.api.kill()
        self._later(2 * step.delay, self.stage.api.start)
        return True

    def stall_worker(self, step: Step) -> bool:
        """A worker stops for longer than its lease.

        Not while it holds SQLite's only write lock, which would block every process: then it continues and is
        stopped later.
        """
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline:
            running = [worker for worker in self.stage.workers if worker.is_running and not worker.is_stopped]
            if running:
                worker = among(running, step.where)
                self._note_blow(worker)
                worker.signal(signal.SIGSTOP)
                if not self._holds_the_file():
                    self._later(self.stage.lease * 1.5, partial(worker.signal, signal.SIGCONT))
                    return True
                worker.signal(signal.SIGCONT)
                self.record.blows.pop()
            time.sleep(0.1)
        return False

    # ------------------------------------------------------------------ services

    def kill_redis(self, step: Step) -> bool:
        return self._lose_redis(2 * step.delay)

    def absent_redis(self, step: Step) -> bool:  # noqa: ARG002 - every fault is given its step
        return self._lose_redis(self.absence)

    def _lose_redis(self, seconds: float) -> bool:
        if not self._await_redis():
            return False
        self.stage.redis.kill()
        self._later(seconds, self.stage.redis.start)
        return True

    def flush_redis(self, step: Step) -> bool:  # noqa: ARG002
        self._await_redis()
        self._ring_once()  # something to lose, also right after an earlier flush
        try:
            with redis_client.from_url(self.stage.redis_url) as connection:
                held = connection.dbsize()
                connection.flushall()
        except redis_client.RedisError:  # away, or still loading what it had written
            return False
        return bool(held)

    def ring(self, step: Step) -> bool:
        """Three at once, and two later."""
        for delay in (1 + 2 * step.delay, 3 + 3 * step.delay):
            self._later(delay, self._ring_once)
        self._await_redis()
        return [self._ring_once() for _ in range(3)] == [True] * 3

    def restart_database(self, step: Step) -> bool:  # noqa: ARG002
        assert self.stage.server is not None
        self.stage.server.restart()
        return True

    def fill_disk(self, step: Step) -> bool:
        filler = self.stage.checkpoints / "filler"
        full = False
        with filler.open("wb", buffering=0) as file:
            while not full:
                try:
                    file.write(b"\0" * 2**16)
                except OSError as error:
                    full = error.errno == errno.ENOSPC
                    if not full:
                        raise
        self._later(0.5 + 1.5 * step.delay, lambda: filler.unlink(missing_ok=True))
        return full

    # ------------------------------------------------------------------ parts

    def _note_blow(self, worker: Service) -> None:
        with suppress(OperationalError), self.stage.database.reading() as session:
            held = session.execute(select(Run.id, Run.attempt).where(Run.worker_id.like(f"%-{worker.pid}-%")))
            self.record.blows.append(Blow(time.time(), [(run_id, attempt) for run_id, attempt in held]))

    def _holds_the_file(self) -> bool:
        if self.stage.server:
            return False
        connection = sqlite3.connect(
            str(self.stage.database.engine.url.database), timeout=0.5, isolation_level=None
        )
        try:
            connection.execute("BEGIN IMMEDIATE")
        except sqlite3.OperationalError:
            return True
        finally:
            connection.close()
        return False

    def _await_redis(self) -> bool:
        """Whether Redis accepts connections, waiting for it as long as another fault may keep it away."""

        def answers() -> bool:
            try:
                with redis_client.from_url(self.stage.redis_url) as connection:
                    return bool(connection.ping())
            except redis_client.RedisError:  # absent, or still loading its file
                return False

        return self._await(answers, self.longest_wait)

    @staticmethod
    def _await(look: Callable[[], T], seconds: float = PATIENCE) -> T:
        """The first finding that is not empty; after `seconds` the last one."""
        deadline = time.monotonic() + seconds
        while not (found := look()) and time.monotonic() < deadline:
            time.sleep(0.05)
        return found

    def _ring_once(self) -> bool:
        from celery import Celery
        from kombu.exceptions import OperationalError as RedisAway

        app = Celery("chaos", broker=self.stage.redis_url, set_as_current=False)
        app.conf.update(CELERY_CONFIG)
        try:
            app.send_task(MESSAGE, queue=DEFAULT_QUEUE, **RING_OPTIONS)
        except (RedisAway, redis_client.ConnectionError):
            return False
        finally:
            app.close()
        return True

    def _later(self, seconds: float, action: Callable[[], object]) -> None:
        thread = threading.Timer(seconds, action)
        thread.start()
        self.threads.append(thread)
