"""`ForkServer`: starts candidates within milliseconds, from a process that has PyTorch and no data.

    examiner ──descriptors──► fork server ──fork──► candidate
             ◄──process id, exit code── (one pipe per candidate)

Decisions:
    * It is a new interpreter, so that it inherits nothing from a process that has read a dataset; and it is
      not `multiprocessing`'s, of which a process has only one.
    * Its environment is written here: no secret, and no hash randomisation, so that sets iterate alike.
    * It ends when the examiner's socket closes, and the kernel then kills its candidates.
"""

from __future__ import annotations

import array
import os
import selectors
import signal
import socket
import subprocess
import sys
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from types import TracebackType
from typing import Self

from workers.arena.messages import FAILED

_MODULE = "workers.arena.fork_server"
_PASSED = ("PATH", "HOME", "LANG", "LD_LIBRARY_PATH", "CUDA_VISIBLE_DEVICES", "VIRTUAL_ENV")
_MESSAGE_BYTES, _DESCRIPTORS = 256, 8


@dataclass(frozen=True, slots=True)
class Forked:
    """A started candidate.

    Attributes:
        pid: its process id, which is also its process group.
        status: pipe that delivers its exit code as text, negative for a signal, when it ends.
    """

    pid: int
    status: int


class ForkServer:
    """A running fork server; a context manager.

    Args:
        threads: CPU threads of a candidate.
    """

    def __init__(self, threads: int = 1) -> None:
        self.threads = threads
        self._socket, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        environment = {name: os.environ[name] for name in _PASSED if name in os.environ} | {
            "PYTHONHASHSEED": "0",
            "PYTHONPATH": os.pathsep.join(entry for entry in sys.path if entry),
            "PYTHONSAFEPATH": "1",
            "OMP_NUM_THREADS": str(threads),
            "MKL_NUM_THREADS": str(threads),
        }
        with theirs:
            self._process = subprocess.Popen(  # noqa: S603 - this interpreter and this module
                [sys.executable, "-m", _MODULE, str(theirs.fileno())],
                env=environment,
                cwd="/",
                stdin=subprocess.DEVNULL,
                pass_fds=[theirs.fileno()],
            )

    def fork(self, descriptors: Mapping[str, int]) -> Forked:
        """Start a candidate.

        Args:
            descriptors: what it inherits, by name; among them `order`, `reports`, `log` and `result`.

        Raises:
            OSError: the fork server has ended, or cannot fork.
        """
        status, status_end = os.pipe()
        try:
            names = {**descriptors, "status": status_end}
            socket.send_fds(self._socket, [" ".join(names).encode()], [*names.values()])
        except OSError:
            os.close(status)
            raise
        finally:
            os.close(status_end)
        started = b""
        while (digit := os.read(status, 1)).isdigit():
            started += digit
        if not started:
            os.close(status)
            raise OSError(f"the fork server started no process: exit code {self._process.poll()}")
        return Forked(int(started), status)

    def close(self) -> None:
        """End the server and its candidates. Idempotent."""
        self._socket.close()
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._process.pid

    def __enter__(self) -> Self:
        """The server itself."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close it."""
        self.close()


def serve(channel: socket.socket) -> None:
    """Fork a candidate per request and report how each one ended, until the other end closes."""
    for number in (signal.SIGINT, signal.SIGTERM):  # for the examiner, whose process group this is part of
        signal.signal(number, signal.SIG_IGN)
    running: dict[int, tuple[int, int]] = {}  # by descriptor of the process: its id, its status pipe
    with selectors.DefaultSelector() as events:
        events.register(channel, selectors.EVENT_READ)
        while True:
            for key, _ in events.select():
                if key.fd in running:
                    events.unregister(key.fd)
                    _report_end(key.fd, *running.pop(key.fd))
                    continue
                descriptors = _receive(channel)
                if not descriptors:
                    return
                status = descriptors.pop("status")
                handle, pid = _fork(descriptors, status)
                running[handle] = (pid, status)
                events.register(handle, selectors.EVENT_READ)


def _receive(channel: socket.socket) -> dict[str, int]:
    space = socket.CMSG_SPACE(_DESCRIPTORS * array.array("i").itemsize)
    message, extra, _, _ = channel.recvmsg(_MESSAGE_BYTES, space)
    received = array.array("i")
    for _, _, data in extra:
        received.frombytes(data)
    return dict(zip(message.decode().split(), received, strict=True))


def _fork(descriptors: Mapping[str, int], status: int) -> tuple[int, int]:
    """Start a candidate; returns a descriptor of its process, and its id."""
    parent = os.getpid()
    pid = os.fork()
    if pid == 0:
        try:
            from workers.arena import candidate  # noqa: PLC0415 - loaded by `main`

            candidate.main(descriptors, parent)
        finally:
            os._exit(FAILED)
    for descriptor in descriptors.values():
        os.close(descriptor)
    with suppress(BrokenPipeError):  # the examiner has ended, and its socket closes next
        os.write(status, f"{pid}\n".encode())
    return os.pidfd_open(pid), pid


def _report_end(handle: int, pid: int, status: int) -> None:
    code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    with suppress(BrokenPipeError):
        os.write(status, str(code).encode())
    os.close(status)
    os.close(handle)


def main() -> None:
    """Load what candidates need, then serve on the descriptor that the command line names."""
    from workers.arena import preload  # noqa: F401, PLC0415 - loaded once for all candidates

    with socket.socket(fileno=int(sys.argv[1])) as channel:
        serve(channel)
    os._exit(0)  # freeing PyTorch takes seconds, and the candidates are alive until then


if __name__ == "__main__":
    main()
