"""Hostile files, two hundred in a row: each fails, the fork server keeps working, and nothing is left."""

from __future__ import annotations

import os
import time
from itertools import cycle, islice
from pathlib import Path

import psutil
import pytest

from cil_core.spec.errors import MethodError, RuleBroken
from workers.arena.fork_server import ForkServer
from workers.arena.messages import Described, Order
from workers.arena.process import Candidate
from workers.sandbox import Mode

MIB = 2**20
FILES = {
    "raises": "raise ValueError('x' * 100_000)",
    "exits": "import os; os._exit(0)",
    "leaves": "raise SystemExit",
    "interrupts": "raise KeyboardInterrupt",
    "recurses": "f = lambda: f(); f()",
    "overflows the stack": "import sys; sys.setrecursionlimit(10**9)\ndef f(): return f()\nf()",
    "crashes": "import ctypes; ctypes.string_at(8)",
    "aborts": "import os; os.abort()",
    "kills itself": "import os; os.kill(os.getpid(), 11)",
    "kills its group": "import os; os.killpg(0, 9)",
    "forks": "import os\nwhile True: os.fork()",
    "hogs": "kept = [bytearray(64 * 2**20) for _ in range(100)]",
    "shares": "import mmap\nkept = [mmap.mmap(-1, 64 * 2**20) for _ in range(100)]",
    "opens": "kept = [open('/dev/null') for _ in range(10_000)]",
    "threads": "import threading\nwhile True: threading.Thread(target=threading.Event().wait).start()",
    "closes": "import os\nos.closerange(0, 1000)",
    "lies": "import os\n[os.write(fd, b'{}\\n' * 10_000) for fd in range(3, 10)]",
    "shouts": "print('\\x1b[2J\\0' * 100_000)",
    "sleeps": "import time; time.sleep(600)",
    "replaces the service": "import sys\nfor name in [*sys.modules]: sys.modules[name] = None",
}
SECONDS = {"sleeps": 0.5, "threads": 5.0, "overflows the stack": 3.0}


def end(server: ForkServer, mode: Mode, name: str) -> str:
    """How a candidate with this file ends."""
    order = Order(
        action="describe", source=FILES[name], sandbox=mode.value, memory_bytes=256 * MIB, state_bytes=MIB
    )
    candidate = Candidate(server, order, {}, SECONDS.get(name, 20.0))
    try:
        list(candidate.messages())
        candidate.result(Described)
    except (MethodError, RuleBroken, ChildProcessError) as error:
        return f"{type(error).__name__}: {error}"
    finally:
        candidate.close()
    raise AssertionError(f"{name} did not fail")


def resources(server: ForkServer) -> tuple[int, int, list[psutil.Process]]:
    """Descriptors of this process and of the fork server, and the processes of the server."""
    process = psutil.Process(server.pid)
    return len(list(Path("/proc/self/fd").iterdir())), process.num_fds(), process.children(recursive=True)


def settles(server: ForkServer, expected: object) -> bool:
    """Whether the resources are as expected within five seconds: the server frees them after it reports."""
    deadline = time.monotonic() + 5
    while resources(server) != expected and time.monotonic() < deadline:
        time.sleep(0.05)
    return resources(server) == expected


@pytest.fixture
def ready(server: ForkServer, mode: Mode) -> ForkServer:
    """The fork server after its first candidate, with every descriptor that it keeps."""
    end(server, mode, "raises")
    time.sleep(0.1)  # it frees the pipe of a candidate after it reports
    return server


@pytest.mark.parametrize("name", FILES)
def test_a_hostile_file_fails_and_leaves_nothing(ready: ForkServer, mode: Mode, name: str) -> None:
    before = resources(ready)
    assert end(ready, mode, name)
    assert settles(ready, before)


@pytest.mark.slow
def test_two_hundred_hostile_files_leave_nothing(ready: ForkServer, mode: Mode) -> None:
    before, memory = resources(ready), psutil.Process(os.getpid()).memory_info().rss
    for name in islice(cycle(FILES), 200):
        end(ready, mode, name)
    assert settles(ready, before)
    assert psutil.Process(os.getpid()).memory_info().rss - memory < 64 * MIB
