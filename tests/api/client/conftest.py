"""The client against the real application over real HTTP, directly or through a proxy that behaves badly.

database        SQLite alone: the other database makes no difference to a client
sdk             a `Client` of the served application, with a token for writing
proxy           a proxy in front of the application; `proxy.plan` says how it treats the next connections
cil             the command line in this process: `cil("jobs", "--json")` returns code, output, errors
process         the command line as a process of its own: `process("jobs")`
busy            a service with jobs in every state and hostile names; read-only
"""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import threading
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from sqlalchemy import update

from api.client import Client
from api.client.cli import main
from store import runs
from store.database.models import Job, ReportedResult
from store.database.session import Database

DIGITS = "digits-b0-inc2-m50-convnet"
LONG_TRACK = "cifar100-b50-inc10-m2000-resnet32-order1995"
REPORT = {
    "track": DIGITS,
    "title": "A result",
    "citation": "Someone 2026",
    "curve": [0.9, 0.8, 0.7, 0.6, 0.5],
}
HOSTILE = "\x1b[31m[red]caf\u00e9\x07\u202e\u2028\x85\x9b2J\u200b end"
"""ANSI escapes, Rich markup, a bell, a bidirectional override, separators and an invisible character."""

SHOWN = r"\x1b[31m[red]caf\u00e9\x07\u202e\u2028\x85\x9b2J\u200b end".replace(r"\u00e9", "é")
"""The same on a terminal."""


@pytest.fixture
def database(databases, sqlite_url: str) -> Iterator[Database]:
    with databases.opened(sqlite_url) as database:
        yield database


@pytest.fixture
def sdk(served) -> Iterator[Client]:
    with Client(served.url, served.service.token) as client:
        yield client


class Proxy:
    """Passes bytes in both directions, except as planned for the next connections.

    `drop`: closed before the request is passed on; `deaf`: the request arrives, its answer does not;
    an integer: cut after so many bytes of the answer; bytes: answered with these, and not passed on.
    """

    def __init__(self, upstream: str) -> None:
        self.upstream = (urlsplit(upstream).hostname, urlsplit(upstream).port)
        self.plan: deque[str | int | bytes] = deque()
        self.connections = 0
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self.listener.getsockname()[1]}"
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self.listener.accept()
            except OSError:
                return  # closed: the test is over
            self.connections += 1
            threading.Thread(
                target=self._serve, args=(client, self.plan.popleft() if self.plan else "pass"), daemon=True
            ).start()

    def _serve(self, client: socket.socket, fate: str | int | bytes) -> None:
        with client, suppress(OSError):  # one of the two has closed its end
            self._treat(client, fate)
            client.shutdown(socket.SHUT_RDWR)

    def _treat(self, client: socket.socket, fate: str | int | bytes) -> None:
        request = client.recv(65_536)
        if isinstance(fate, bytes):
            client.sendall(fate)
        if fate == "drop" or isinstance(fate, bytes):
            return
        with socket.create_connection(self.upstream) as server:
            server.sendall(request)
            threading.Thread(target=self._pass_on, args=(client, server), daemon=True).start()
            left = 0 if fate == "deaf" else fate if isinstance(fate, int) else None
            while data := server.recv(65_536 if left is None else max(left, 1)):
                if left is not None and len(data) >= left:
                    client.sendall(data[:left])
                    return
                left = None if left is None else left - len(data)
                client.sendall(data)

    @staticmethod
    def _pass_on(client: socket.socket, server: socket.socket) -> None:
        with suppress(OSError):  # one of the two has closed its end
            while data := client.recv(65_536):
                server.sendall(data)

    def close(self) -> None:
        if self.listener.fileno() != -1:
            self.listener.shutdown(socket.SHUT_RDWR)
            self.listener.close()


@pytest.fixture
def proxy(served) -> Iterator[Proxy]:
    proxy = Proxy(served.url)
    yield proxy
    proxy.close()


@pytest.fixture
def through(proxy: Proxy, served) -> Iterator[Client]:
    """A `Client` behind the proxy."""
    with Client(proxy.url, served.service.token) as client:
        yield client


@dataclass
class Outcome:
    """What a call of the command line left behind."""

    code: int
    out: str
    err: str


@pytest.fixture
def nowhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A directory and a home where no service is known."""
    for name in ("CIL_SERVER", "CIL_TOKEN", "CIL_DATA_DIR"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def cil(
    nowhere: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[..., Outcome]:
    def call(*arguments: str) -> Outcome:
        monkeypatch.setattr(sys, "argv", ["cil", *arguments])
        with pytest.raises(SystemExit) as end:
            main()
        captured = capsys.readouterr()
        return Outcome(int(end.value.code or 0), captured.out, captured.err)

    return call


@pytest.fixture
def connected(served, monkeypatch: pytest.MonkeyPatch, cil: Callable[..., Outcome]) -> Callable[..., Outcome]:
    """`cil` with the served application in its environment."""
    monkeypatch.setenv("CIL_SERVER", served.url)
    monkeypatch.setenv("CIL_TOKEN", served.service.token)
    return cil


ROOT = Path(__file__).parents[3]


@pytest.fixture
def process(tmp_path: Path) -> Callable[..., subprocess.CompletedProcess[str]]:
    """`cil` as a process in an empty directory and home; keyword arguments are its environment."""

    def run(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
        known = {"PATH": os.environ["PATH"], "HOME": str(tmp_path), "PYTHONPATH": str(ROOT)}
        return subprocess.run(
            [sys.executable, "-m", "api.client", *arguments],
            cwd=tmp_path,
            env=known | environment,
            capture_output=True,
            text=True,
            encoding=environment.get("PYTHONIOENCODING", "utf-8"),
            timeout=60,
        )

    return run


@dataclass
class Busy:
    """What a busy service has: ids of each kind, and how `cil` finds it."""

    jobs: list[str]
    runs: list[str]
    entries: list[str]
    environment: dict[str, str]


def submit_jobs(client: Client) -> None:
    """Jobs of several methods on two tracks, and of one method with two recipes."""
    for method in ("finetune", "icarl", "replay", "der-wa"):
        client.submit({"name": method, "preset": "small"}, DIGITS, [1, 2, 3])
    client.submit({"name": "icarl", "preset": "small", "temperature": 3}, DIGITS, [1, 2, 3])
    client.submit("replay", "digits-b4-inc3-m50-convnet", [1])
    client.submit("icarl", "digits-b4-inc3-m50-convnet", [1])


@contextmanager
def busy_service(database: Database, service_on: Any, serving_of: Any) -> Iterator[Busy]:
    service = service_on(database)
    _, token = service.add_user("grace", ("jobs:write", "results:write"))
    with serving_of(service) as served, Client(served.url, token) as client:
        submit_jobs(client)
        service.complete_all()
        client.submit("lwf", LONG_TRACK, [1993, 1994], name="a name")
        service.fail(service.claim(), HOSTILE)
        with database.transaction() as session:
            runs.register_worker(
                session, runs.WorkerOffer("worker-of-a-host-with-a-long-name-1", "cil", "cpu", None), {}
            )
            runs.register_worker(session, runs.WorkerOffer(f"worker-{HOSTILE}", "cil", HOSTILE, None), {})
        client.submit("ewc", LONG_TRACK, [1993])
        lost = service.claim()
        with database.transaction() as session:
            runs.fail(
                session,
                lost,
                runs.FailureClass.infrastructure,
                f"killed by SIGKILL {HOSTILE} " + "word " * 40,
                {},
            )
        service.claim()
        client.report(REPORT)
        with database.transaction() as session:
            session.execute(update(Job).where(Job.method == "lwf").values(name=HOSTILE))
            session.execute(update(ReportedResult).values(title=HOSTILE, citation=HOSTILE))
        listed = list(client.jobs())
        yield Busy(
            jobs=[job.id for job in listed],
            runs=[run.id for job in listed for run in job.runs],
            entries=[entry.id for entry in client.leaderboard(DIGITS).items],
            environment={"CIL_SERVER": served.url, "CIL_TOKEN": token},
        )


@pytest.fixture(scope="module")
def busy(databases: Any, service_on: Any, serving_of: Any) -> Iterator[Busy]:
    """A service with jobs in every state; only for reading."""
    with (
        databases.url("sqlite") as url,
        databases.opened(url) as database,
        busy_service(database, service_on, serving_of) as busy,
    ):
        yield busy
