"""`Service`: one supervised process of the embedded stack, and finding what a killed stack left behind."""

from __future__ import annotations

import ctypes
import json
import logging
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil

log = logging.getLogger(__name__)

_PR_SET_PDEATHSIG = 1
_LIBC = ctypes.CDLL(None, use_errno=True) if sys.platform == "linux" else None
_CANNOT_WORK = 2
_FIRST_PAUSE, _LONGEST_PAUSE, _STABLE_AFTER = 0.2, 10.0, 30.0
_LEFTOVER_SECONDS = 20


@dataclass
class Service:
    """A process that is started again when it dies.

    It leads a session of its own, so that Ctrl-C in a terminal reaches the supervisor alone, which then stops its services in good order.

    Args:
        name: for its log and for people.
        command: what to run.
        environment: its whole environment.
        log_file: where its output goes; appended to.
    """

    name: str
    command: list[str]
    environment: dict[str, str]
    log_file: Path
    process: subprocess.Popen[bytes] | None = field(default=None, init=False)
    _started: float = field(default=0, init=False)
    _pause: float = field(default=_FIRST_PAUSE, init=False)
    _stopped: bool = field(default=False, init=False)

    def start(self) -> None:
        """Start the process; it dies with this one."""
        self.log_file.parent.mkdir(parents=True, exist_ok=True)
        with self.log_file.open("ab") as output:
            self.process = subprocess.Popen(  # noqa: S603 - our own command
                self.command,
                env=self.environment,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
                preexec_fn=dying_with(os.getpid()),  # noqa: PLW1509 - the supervisor has a single thread
            )
        self._started = time.monotonic()

    def revive(self) -> bool:
        """Start the process again if it has died; after quick deaths in a row only following a growing pause. Tells whether it did.

        A process that ended with code 2 has said that it cannot work as it was started: it is left alone.
        """
        if self._stopped or self.process is None or self.process.poll() is None:
            return False
        if self.process.returncode == _CANNOT_WORK:
            self._stopped = True
            log.error("%s cannot work and is not started again: %s", self.name, self.last_words())
            return False
        lived = time.monotonic() - self._started
        if lived > _STABLE_AFTER:
            self._pause = _FIRST_PAUSE
        if lived < self._pause:
            return False
        self._pause = min(2 * self._pause, _LONGEST_PAUSE)
        log.warning(
            "%s ended (%s) and is started again; its output is in %s",
            self.name,
            _ending(self.process.returncode),
            self.log_file,
        )
        self.start()
        return True

    def last_words(self) -> str:
        """The last line of its output."""
        lines = self.log_file.read_text(errors="replace").split("\n")
        return next((line.strip() for line in reversed(lines) if line.strip()), "it said nothing")

    def ask_to_stop(self) -> None:
        """SIGTERM; it will not be revived."""
        self._stopped = True
        if self.process is not None and self.process.poll() is None:
            self.process.terminate()

    def wait(self, seconds: float) -> None:
        """Wait for its end; past `seconds` kill it and what is left of its group."""
        if self.process is None:
            return
        try:
            self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            log.warning("%s did not stop within %g s and is killed", self.name, seconds)
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()

    def identity(self) -> dict[str, Any]:
        """Name, process id and start time, for `stop_leftovers`."""
        if self.process is None:
            return {"name": self.name, "pid": None, "created": None}
        try:
            created = psutil.Process(self.process.pid).create_time()
        except psutil.NoSuchProcess:
            created = None
        return {"name": self.name, "pid": self.process.pid, "created": created}


def dying_with(parent: int) -> Callable[[], None]:
    """What a new process does first: ask the kernel for SIGTERM when `parent` is gone, which it may be already."""

    def prepare() -> None:
        if _LIBC is not None:
            _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
        if os.getppid() != parent:
            os._exit(1)

    return prepare


def stop_leftovers(pid_file: Path) -> None:
    """End processes that an earlier, killed stack left running: those of `pid_file` whose id and start time both agree."""
    if not pid_file.exists():
        return
    left = [
        process for row in json.loads(pid_file.read_text()) if (process := _same_process(row)) is not None
    ]
    for process in left:
        log.warning("stopping process %d, left over from a killed service", process.pid)
        process.terminate()
    _, stubborn = psutil.wait_procs(left, timeout=_LEFTOVER_SECONDS)
    for process in stubborn:
        process.kill()
    psutil.wait_procs(stubborn)
    pid_file.unlink()


def _same_process(row: dict[str, Any]) -> psutil.Process | None:
    if row["pid"] is None or row["created"] is None:
        return None
    try:
        process = psutil.Process(row["pid"])
        return process if abs(process.create_time() - row["created"]) < 0.1 else None
    except psutil.NoSuchProcess:
        return None


def _ending(code: int) -> str:
    return f"exit code {code}" if code >= 0 else signal.Signals(-code).name
