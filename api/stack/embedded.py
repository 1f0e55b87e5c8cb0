"""`Stack`: the whole service on one machine, with nothing else installed. `cil up` runs it.

One supervisor starts Redis, brings the database to the newest schema, starts the API and the workers, and
restarts what dies. Its data directory holds all state: a later start continues from there, also after a kill
or a power cut.

Decisions:
    * `CIL_DATABASE_URL` and `CIL_REDIS_URL`, where given, replace the embedded SQLite file and Redis server.
    * Its processes die with the supervisor (Linux: PR_SET_PDEATHSIG). Leftovers of a killed one are found by
      process id *and* start time.
    * `connection.json` (URL and token, for its owner only) exists exactly while the service runs, so that
      `cil` never calls a stopped one. The token itself is kept for the next start.
    * The API starts while the database is migrated: it opens the database at its first request.
"""

from __future__ import annotations

import contextlib
import logging
import os
import signal
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import httpx
from alembic.util import CommandError
from filelock import FileLock, Timeout
from sqlalchemy.exc import ArgumentError, DatabaseError, OperationalError

import migrations
from api.client.connection import FILE, Connection, link_running
from api.shared.private_files import write_private
from api.stack import ports, redis_server, state_files
from api.stack.errors import CannotStartError
from api.stack.processes import IDENTITIES, Service, stop_leftovers
from store.access import accounts
from store.access.accounts import Role, Scope
from store.database.session import Database, sqlite_url

log = logging.getLogger(__name__)

READY_SECONDS = 60
STOP_SECONDS = 30
API_STOP_SECONDS = 3
"""How long open event streams may delay the API's exit."""
LOCAL_USER = "local"


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
    slots: int = 1
    device: str = "cpu"
    services: list[Service] = field(default_factory=list, init=False)
    stopping: bool = field(default=False, init=False)

    def run(self, ready: Callable[[Connection], None]) -> None:
        """Start everything, call `ready`, and keep it running until SIGINT or SIGTERM.

        Raises:
            CannotStartError: the data directory is in use, the port is taken, or a service does not come up.
        """
        self.data_dir = self.data_dir.resolve()
        try:
            self.data_dir.mkdir(parents=True, exist_ok=True)
            with _exclusive(self.data_dir), self._stopping_services():
                self._serve(ready)
        except OSError as error:
            path = error.filename or self.data_dir
            reason = error.strerror or error
            raise CannotStartError(f"{path}: {reason}; move it away or change its permissions") from error

    def _serve(self, ready: Callable[[Connection], None]) -> None:
        stop_leftovers(self._pid_file)
        connection = self._start()
        if not self.stopping:
            self._publish(connection)
            ready(connection)
        while not self.stopping:
            self._supervise()
            time.sleep(0.2)

    # ------------------------------------------------------------------ starting

    def _start(self) -> Connection:
        try:
            self.port = ports.claim(self.host, self.port)
        except ports.PortTakenError as error:
            raise CannotStartError(f"{error}; give another --port, or 0 for any free one") from None
        database_url = os.environ.get("CIL_DATABASE_URL") or sqlite_url(self.data_dir / "cil.sqlite3")
        environment = {
            **os.environ,
            "CIL_DATA_DIR": str(self.data_dir),
            "CIL_DATABASE_URL": database_url,
            "CIL_SECRET_KEY": state_files.secret_key(self.data_dir / "secret"),
        }
        environment["CIL_REDIS_URL"] = os.environ.get("CIL_REDIS_URL") or self._start_redis()
        self._start_api(environment)
        _migrate(database_url)
        self._start_workers(environment)
        connection = Connection(server=ports.url(self.host, self.port), token=self._token(database_url))
        self._wait_until_ready(connection.server)
        return connection

    def _start_redis(self) -> str:
        folder = self.data_dir / "redis"
        server = redis_server.configure(folder)
        repair = partial(redis_server.set_aside_damage, folder)
        self._launch("redis", server.command, dict(os.environ), repair)
        return server.url

    def _start_api(self, environment: dict[str, str]) -> None:
        listening = [
            "--host",
            self.host,
            "--port",
            str(self.port),
            "--no-access-log",
            "--timeout-graceful-shutdown",
            str(API_STOP_SECONDS),
        ]
        self._launch(
            "api",
            [sys.executable, "-m", "uvicorn", "api.main:from_environment", "--factory", *listening],
            environment,
        )

    def _start_workers(self, environment: dict[str, str]) -> None:
        options = ["--device", self.device, "--slots", str(self.slots), "--data-dir", str(self.data_dir)]
        share = max(
            1, len(os.sched_getaffinity(0)) // max(1, self.workers * self.slots)
        )  # of the cores, which the workers do not know they share
        environment = {"CIL_THREADS": str(share), **environment}
        for number in range(1, self.workers + 1):
            self._launch(
                f"worker-{number}", [sys.executable, "-m", "api.client", "worker", *options], environment
            )

    def _launch(
        self,
        name: str,
        command: list[str],
        environment: dict[str, str],
        repair: Callable[[str], None] | None = None,
    ) -> None:
        service = Service(name, command, environment, self.data_dir / "logs" / f"{name}.log", repair)
        service.start()
        self.services.append(service)
        self._write_process_list()

    def _token(self, database_url: str) -> str:
        """The token of the last start if it is still valid, else a new one."""
        path = self.data_dir / "token"
        kept = state_files.read_word(path)
        database = Database(database_url)
        try:
            with database.transaction() as session:
                if kept is not None and accounts.authenticate(session, kept):
                    return kept
                user = accounts.user_named(session, LOCAL_USER) or accounts.create_user(
                    session, LOCAL_USER, Role.admin
                )
                token = accounts.issue_token(session, user.id, "cil up", [Scope.admin]).plain
        finally:
            database.dispose()
        write_private(path, token)
        return token

    def _wait_until_ready(self, server: str) -> None:
        deadline = time.monotonic() + READY_SECONDS
        while time.monotonic() < deadline and not self.stopping:
            self._supervise()
            with contextlib.suppress(httpx.TransportError):  # not listening yet
                if httpx.get(f"{server}/readyz", timeout=2, trust_env=False).is_success:
                    return
            time.sleep(0.05)
        if not self.stopping:
            raise CannotStartError(
                f"the API did not become ready within {READY_SECONDS} s; see {self.data_dir / 'logs'}"
            )

    def _publish(self, connection: Connection) -> None:
        connection.write(self.data_dir / FILE)
        try:
            link_running(self.data_dir / FILE)
        except OSError as error:  # the service runs without it
            log.warning("`cil` finds this service from this directory only: %s", error)

    # ------------------------------------------------------------------ supervising, stopping

    def _supervise(self) -> None:
        if [service for service in self.services if service.revive()]:
            self._write_process_list()

    @contextlib.contextmanager
    def _stopping_services(self) -> Iterator[None]:
        def stop(_signal: int, _frame: object) -> None:
            self.stopping = True

        before = {number: signal.signal(number, stop) for number in (signal.SIGINT, signal.SIGTERM)}
        (self.data_dir / FILE).unlink(missing_ok=True)  # left by a killed start
        try:
            yield
        finally:
            self.stopping = True
            (self.data_dir / FILE).unlink(missing_ok=True)
            self._stop_services()
            for number, handler in before.items():
                signal.signal(number, handler)

    def _stop_services(self) -> None:
        """Workers first, so that they can release their runs; Redis last.

        Services of one kind stop together.
        """
        for kind in ("worker", "api", "redis"):
            group = [service for service in self.services if service.name.startswith(kind)]
            for service in group:
                service.request_stop()
            for service in group:
                service.wait(STOP_SECONDS)
        self._pid_file.unlink(missing_ok=True)

    @property
    def _pid_file(self) -> Path:
        return self.data_dir / "processes.json"

    def _write_process_list(self) -> None:
        identities = [service.identity() for service in self.services]
        write_private(self._pid_file, IDENTITIES.dump_json(identities).decode())


def _migrate(database_url: str) -> None:
    try:
        migrations.upgrade(database_url)
    except (ArgumentError, ValueError) as error:
        raise CannotStartError(f"CIL_DATABASE_URL: {error}") from error
    except OperationalError as error:
        raise CannotStartError(f"the database cannot be opened: {error.orig}") from error
    except DatabaseError as error:
        raise CannotStartError(
            f"the database is damaged ({error.orig}): restore a backup, or move its file away to start empty"
        ) from error
    except CommandError as error:
        raise CannotStartError(
            f"the database belongs to another version of this software: {error}"
        ) from error


@contextlib.contextmanager
def _exclusive(data_dir: Path) -> Iterator[None]:
    lock = FileLock(data_dir / "up.lock")
    try:
        lock.acquire(blocking=False)
    except Timeout:
        raise CannotStartError(
            f"a service is already running on {data_dir}; stop it, or give another --data-dir"
        ) from None
    with lock:
        yield
