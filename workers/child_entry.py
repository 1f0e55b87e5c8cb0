"""The child's manners as a process: `run_child` is the first thing a forked child does.

Decisions:
    * Its own session and process group, so that everything it starts dies with one signal and Ctrl-C in a terminal does not reach it.
    * It never outlives its supervisor. The supervisor sends the seconds its lease has left down a pipe after every renewal; when the pipe
      closes or the seconds run out the child kills its own group. Should Python be stuck, the kernel ends the child: the fork server ends a
      moment after the supervisor (`workers.child.delayed_exit`), and PR_SET_PDEATHSIG ends the child with the fork server.
    * SIGTERM is a stop_requested: the run stops at its next event, where every finished task has its checkpoint.
"""

from __future__ import annotations

import ctypes
import os
import resource
import signal
import sys
import threading
import time
from contextlib import suppress
from multiprocessing import forkserver
from multiprocessing.connection import Connection
from types import FrameType

from workers.protocol import Assignment

_PR_SET_PDEATHSIG = 1


def run_child(assignment: Assignment, reports: Connection, log: Connection, watch: Connection) -> None:
    """Become a well-behaved child, then carry out the assignment.

    Args:
        assignment: what to do.
        reports: where to tell, one JSON line a report.
        log: takes the place of standard output and error.
        watch: brings the seconds the lease has left.
    """
    os.setsid()
    _exit_with_fork_server()
    _redirect_output(log)
    threading.Thread(
        target=_watch_lease, args=(watch, assignment.lease_seconds), name="watch", daemon=True
    ).start()
    stop_requested = _catch_stop_signals()
    if assignment.memory_bytes is not None:
        resource.setrlimit(resource.RLIMIT_DATA, (assignment.memory_bytes, assignment.memory_bytes))

    from workers.child.main import main  # noqa: PLC0415 - the fork server has imported it; the supervisor, which imports this module, must not

    try:
        main(assignment, reports, stop_requested)
    except BrokenPipeError:  # noticed here before the watch noticed it
        _kill_group("the supervisor is gone")


def _exit_with_fork_server() -> None:
    """Have the kernel kill this process when the fork server is gone, and let the fork server go when the supervisor is."""
    ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    # Children inherit the pipe whose end tells the fork server that nobody needs it. Held here it would outlive the supervisor.
    inherited: int | None = forkserver._forkserver._forkserver_alive_fd  # type: ignore[attr-defined]
    if inherited is not None:
        os.close(inherited)
        forkserver._forkserver._forkserver_alive_fd = None  # type: ignore[attr-defined]


def _redirect_output(log: Connection) -> None:
    sys.stdout.flush()
    sys.stderr.flush()
    os.dup2(log.fileno(), 1)
    os.dup2(log.fileno(), 2)
    log.close()


def _catch_stop_signals() -> threading.Event:
    stop_requested = threading.Event()

    def note(signum: int, frame: FrameType | None) -> None:  # noqa: ARG001 - the signature of a signal handler
        stop_requested.set()

    signal.signal(signal.SIGTERM, note)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    return stop_requested


def _watch_lease(watch: Connection, lease_seconds: float) -> None:
    deadline = time.monotonic() + lease_seconds
    while watch.poll(max(0.0, deadline - time.monotonic())):
        try:
            deadline = time.monotonic() + float(watch.recv_bytes())
        except EOFError:
            _kill_group("the supervisor is gone")
    _kill_group("no news from the supervisor for as long as the lease")


def _kill_group(reason: str) -> None:
    with suppress(BrokenPipeError):  # a supervisor that is gone reads no more
        os.write(2, f"{reason}; this run stops here\n".encode())
    os.killpg(0, signal.SIGKILL)
