"""`ChildProcess`: the process of one run, as its supervisor sees it.

Decisions:
    * Children come from a fork server (standard library) that has imported PyTorch and the engine once and
      never touched CUDA: a child starts within milliseconds. The supervisor itself never imports PyTorch.
    * Pipes are read without blocking, so a child that stops in the middle of a line cannot block its
      supervisor.
    * The last lines that a child printed are evidence of how it ended.
"""

from __future__ import annotations

import multiprocessing
import os
import re
import signal
import sys
import types
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from multiprocessing import forkserver
from multiprocessing.connection import Connection, wait
from pathlib import Path

from pydantic import JsonValue

from workers.child_entry import run_child
from workers.protocol import REPORT, Assignment, Report

LOG_LINES = 50
_READ_BYTES, _READS = 65_536, 16
_JOIN_SECONDS = 5.0
_HELD = ("RssAnon", "RssShmem", "VmSwap")
_LINE_END = re.compile(rb"[\r\n]+")  # progress bars end their lines with a return
_CONTEXT = multiprocessing.get_context("forkserver")
_PASSED_TO_CHILDREN = (
    "PATH",
    "HOME",
    "USER",
    "LANG",
    "TZ",
    "TMPDIR",
    "VIRTUAL_ENV",
    "LD_LIBRARY_PATH",
    "SSL_CERT_FILE",
    "REQUESTS_CA_BUNDLE",
)
_PASSED_PREFIXES = (
    "LC_",
    "PYTHON",
    "CUDA_",
    "NVIDIA_",
    "NCCL_",
    "TORCH_",
    "PYTORCH_",
    "OMP_",
    "MKL_",
    "OPENBLAS_",
    "XDG_",
)
_PROXIES = ("HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY")


def start_fork_server(threads: int) -> None:
    """Start the fork server with an environment that holds no secret; call it once, before any thread starts.

    The rest of the environment is deleted from this process, so that a fork server that is restarted later
    holds no secret either.

    Args:
        threads: CPU threads of a child.
    """
    for name in [name for name in os.environ if not _is_passed(name)]:
        del os.environ[name]
    os.environ["OMP_NUM_THREADS"] = str(threads)
    # Otherwise every child imports this process's __main__, which is the whole command-line program.
    sys.modules["__main__"] = types.ModuleType("__main__")
    _CONTEXT.set_forkserver_preload(
        ["workers.child.delayed_exit", "workers.child.main", "workers.child.preload"]
    )
    forkserver.ensure_running()


def _is_passed(name: str) -> bool:
    return name in _PASSED_TO_CHILDREN or name.startswith(_PASSED_PREFIXES) or name.upper() in _PROXIES


class _Lines:
    """Complete lines out of a pipe, read without blocking."""

    def __init__(self, pipe: Connection) -> None:
        self.pipe = pipe
        self.open = True
        self._rest = b""
        os.set_blocking(pipe.fileno(), False)

    def read(self) -> list[bytes]:
        """The lines completed since the last call."""
        for _ in range(_READS):  # bounded: a child may print without end
            try:
                data = os.read(self.pipe.fileno(), _READ_BYTES)
            except BlockingIOError:
                break
            self._rest += data
            self.open = bool(data)
            if not data:
                break
        *lines, self._rest = _LINE_END.split(self._rest)
        return lines


class ChildProcess:
    """Starts in the constructor.

    Args:
        assignment: the run and its limits.

    Raises:
        OSError: no process can be started.
        EOFError: the fork server died during the start.
    """

    def __init__(self, assignment: Assignment) -> None:
        reports, reports_end = _CONTEXT.Pipe(duplex=False)
        log, log_end = _CONTEXT.Pipe(duplex=False)
        watch_end, self._watch = _CONTEXT.Pipe(duplex=False)
        self._reports, self._log = _Lines(reports), _Lines(log)
        self._tail: deque[str] = deque(maxlen=LOG_LINES)
        self._peak_bytes = self._held_bytes = 0
        self._process = _CONTEXT.Process(target=run_child, args=(assignment, reports_end, log_end, watch_end))
        try:
            self._process.start()
        except BaseException:
            self._close_pipes()
            raise
        finally:
            for end in (reports_end, log_end, watch_end):
                end.close()

    @property
    def pid(self) -> int:
        """Process id, which is also its process group and session."""
        assert self._process.pid is not None  # noqa: S101 - it has been started
        return self._process.pid

    @property
    def ended(self) -> bool:
        """Whether the process has exited."""
        return not self._process.is_alive()

    @property
    def held_bytes(self) -> int:
        """Host memory at the last `read`: anonymous pages, private and shared, without mapped files."""
        return self._held_bytes

    def read(self, timeout: float) -> list[Report]:
        """Wait for reports and return those that arrived.

        Args:
            timeout: longest wait in seconds; after the exit of the child there is no wait.

        Raises:
            pydantic.ValidationError: a line is not a report.
        """
        pipes = [lines.pipe for lines in (self._reports, self._log) if lines.open]
        if not self.ended:
            wait([*pipes, self._process.sentinel], max(0.0, timeout))
        self._sample_memory()
        self._tail.extend(line.decode(errors="replace") for line in self._log.read())
        return [REPORT.validate_json(line) for line in self._reports.read()]

    def renew(self, seconds: float) -> None:
        """Send the child the seconds it may run until the next renewal."""
        with suppress(BrokenPipeError):  # it has just exited, which `ended` reports
            self._watch.send_bytes(str(seconds).encode())

    def request_stop(self) -> None:
        """Request that the run stops at its next event."""
        self._signal(signal.SIGTERM)

    def kill(self) -> None:
        """Kill the whole process group and wait for the exit of its leader."""
        self._signal(signal.SIGKILL)
        self._process.join(_JOIN_SECONDS)

    def close(self) -> None:
        """Kill the process group and free every resource."""
        self.kill()
        self._close_pipes()
        self._process.close()

    def evidence(self) -> dict[str, JsonValue]:
        """How it ended, as seen from outside: exit code or signal, last lines printed, peak of memory."""
        code = self._process.exitcode
        by_signal = code is not None and code < 0
        return {
            "exit_code": None if by_signal else code,
            "exit_signal": signal.Signals(-code).name if code is not None and by_signal else None,
            "log_tail": [*self._tail],
            "peak_host_bytes": self._peak_bytes or None,
        }

    def _signal(self, number: signal.Signals) -> None:
        """Signal the group, even if its leader has exited.

        The process alone if it has not created its group yet.
        """
        send: Callable[[int, int], None]
        for send in (os.killpg, os.kill):
            with suppress(ProcessLookupError, PermissionError):
                send(self.pid, number)
                return
            if self.ended:
                return

    def _sample_memory(self) -> None:
        with suppress(OSError):  # it has just exited
            lines = Path(f"/proc/{self.pid}/status").read_text().splitlines()
            values = {name: value.split() for name, _, value in (line.partition(":") for line in lines)}
            if "VmHWM" in values:  # a process that is exiting has no memory left
                self._peak_bytes = max(self._peak_bytes, int(values["VmHWM"][0]) * 1024)
                self._held_bytes = 1024 * sum(int(values[kind][0]) for kind in _HELD)

    def _close_pipes(self) -> None:
        for pipe in (self._reports.pipe, self._log.pipe, self._watch):
            pipe.close()
