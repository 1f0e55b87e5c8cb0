"""`Service`: one supervised process of the embedded stack; and leftovers of a killed stack."""

from __future__ import annotations

import ctypes
import logging
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import psutil
from pydantic import BaseModel, TypeAdapter, ValidationError

log = logging.getLogger(__name__)

REPAIR_AFTER = 3
"""Failed starts in a row after which a service is repaired."""
_PR_SET_PDEATHSIG = 1
_LIBC = ctypes.CDLL(None, use_errno=True) if sys.platform == "linux" else None
_CANNOT_WORK = 2
_FIRST_PAUSE, _LONGEST_PAUSE, _STABLE_AFTER = 0.2, 10.0, 30.0
_LEFTOVER_SECONDS = 20


class Identity(BaseModel):
    """What identifies a process of a stack, also after its id was used again."""

    name: str
    pid: int | None
    created: float | None


IDENTITIES: TypeAdapter[list[Identity]] = TypeAdapter(list[Identity])
"""The content of `processes.json`."""


@dataclass
class Service:
    """A process that is restarted when it dies.

    It leads a session of its own, so that Ctrl-C in a terminal reaches the supervisor alone, which then stops
    its services in order.

    Args:
        name: for its log and for people.
        command: what to run.
        environment: its whole environment.
        log_file: where its output goes; appended to.
        repair: called with the last line of output before the start that follows three failed ones.
    """

    name: str
    command: list[str]
    environment: dict[str, str]
    log_file: Path
    repair: Callable[[str], None] | None = None
    process: subprocess.Popen[bytes] | None = field(default=None, init=False)
    _started: float = field(default=0, init=False)
    _pause: float = field(default=_FIRST_PAUSE, init=False)
    _failed_starts: int = field(default=0, init=False)
    _stopped: bool = field(default=False, init=False)

    def start(self) -> None:
        """Start the process; it dies with this one."""
        self.log_file.parent.mkdir(parents=True, exist_ok=True)
        with self.log_file.open("ab") as output:
            self.process = subprocess.Popen(  # noqa: S603 - a command of this package
                self.command,
                env=self.environment,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
                preexec_fn=die_with(os.getpid()),  # noqa: PLW1509 - the supervisor has a single thread
            )
        self._started = time.monotonic()

    def revive(self) -> bool:
        """Restart the process if it has died, after a pause that grows with each quick death.

        Returns whether it did.

        A process that exits with code 2 reports that it cannot work as configured: it is not restarted.
        """
        if self._stopped or self.process is None or self.process.poll() is None:
            return False
        if self.process.returncode == _CANNOT_WORK:
            self._stopped = True
            log.error("%s cannot work and is not restarted: %s", self.name, self.last_output_line())
            return False
        lived = time.monotonic() - self._started
        if lived > _STABLE_AFTER:
            self._pause = _FIRST_PAUSE
        if lived < self._pause:
            return False
        self._pause = min(2 * self._pause, _LONGEST_PAUSE)
        how = _describe_exit(self.process.returncode)
        log.warning("%s exited (%s) and is restarted; its output is in %s", self.name, how, self.log_file)
        self._repair(failed=self.process.returncode > 0 and lived <= _STABLE_AFTER)
        self.start()
        return True

    def last_output_line(self) -> str:
        """The last line of its output."""
        lines = self.log_file.read_text(errors="replace").split("\n")
        return next((line.strip() for line in reversed(lines) if line.strip()), "(no output)")

    def request_stop(self) -> None:
        """Send SIGTERM; the process is not restarted."""
        self._stopped = True
        if self.process is not None and self.process.poll() is None:
            self.process.terminate()

    def wait(self, seconds: float) -> None:
        """Wait for the exit; after `seconds` kill the process group."""
        if self.process is None:
            return
        try:
            self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            log.warning("%s did not stop within %g s and is killed", self.name, seconds)
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()

    def identity(self) -> Identity:
        """Name, process id and start time, for `stop_leftovers`."""
        pid = None if self.process is None else self.process.pid
        try:
            created = None if pid is None else psutil.Process(pid).create_time()
        except psutil.NoSuchProcess:
            created = None
        return Identity(name=self.name, pid=pid, created=created)

    def _repair(self, *, failed: bool) -> None:
        self._failed_starts = self._failed_starts + 1 if failed else 0
        if self.repair is not None and self._failed_starts >= REPAIR_AFTER:
            self._failed_starts = 0
            self.repair(self.last_output_line())


def die_with(parent: int) -> Callable[[], None]:
    """A function for a new process to call first: it dies with `parent`."""

    def prepare() -> None:
        if _LIBC is not None:
            _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
        if os.getppid() != parent:
            os._exit(1)

    return prepare


def stop_leftovers(pid_file: Path) -> None:
    """Stop processes of a killed stack: those whose id and start time both agree with `pid_file`.

    A damaged file is deleted with a warning.
    """
    try:
        rows = IDENTITIES.validate_json(pid_file.read_bytes())
    except FileNotFoundError:
        return
    except ValidationError:
        log.warning("%s is damaged and deleted; processes of a killed service may still run", pid_file)
        rows = []
    leftovers = [process for row in rows if (process := _same_process(row)) is not None]
    for process in leftovers:
        log.warning("stopping process %d, left over from a killed service", process.pid)
        process.terminate()
    _, stubborn = psutil.wait_procs(leftovers, timeout=_LEFTOVER_SECONDS)
    for process in stubborn:
        process.kill()
    psutil.wait_procs(stubborn)
    pid_file.unlink()


def _same_process(row: Identity) -> psutil.Process | None:
    if row.pid is None or row.created is None or not 0 < row.pid < 2**31:
        return None
    try:
        process = psutil.Process(row.pid)
        return process if abs(process.create_time() - row.created) < 0.1 else None
    except psutil.NoSuchProcess:
        return None


def _describe_exit(code: int) -> str:
    return f"exit code {code}" if code >= 0 else signal.Signals(-code).name
