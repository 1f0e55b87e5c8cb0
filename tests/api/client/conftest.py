"""The client against the real application over real HTTP, directly or through a proxy that behaves badly.

database        SQLite alone: the other database makes no difference to a client
sdk             a `Client` of the served application, with a token for writing
proxy           a proxy in front of the application; `proxy.plan` says what it does to the next connections
cil             the command line in this process: `cil("jobs", "--json")` gives its exit code, output and errors
"""

from __future__ import annotations

import socket
import sys
import threading
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from api.client import Client
from api.client.cli import main
from store.database.session import Database


@pytest.fixture
def database(databases, sqlite_url: str) -> Iterator[Database]:
    with databases.opened(sqlite_url) as database:
        yield database


@pytest.fixture
def sdk(served) -> Iterator[Client]:
    with Client(served.url, served.service.token) as client:
        yield client


class Proxy:
    """Passes bytes to and fro, except as planned for the next connections.

    `drop`: closed before the request is passed on; `deaf`: the request arrives, its answer does not; an integer: cut after so many bytes of the answer;
    bytes: answered with these, and not passed on.
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
        with client, suppress(OSError):  # one of the two is gone
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
        with suppress(OSError):  # one of the two is gone
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
