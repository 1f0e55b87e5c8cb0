"""The first code of a child process: its session, its signals, its limits.

`run_child` is what a forked child calls.

Decisions:
    * The child leads its own session and process group: one signal kills everything it started, and Ctrl-C in
      a terminal does not reach it.
    * The child never outlives its supervisor. After every renewal the supervisor sends the seconds left of
      the lease through a pipe. When the pipe closes or the seconds run out, the child kills its own process
      group.
    * If Python hangs, the kernel kills the child: the fork server exits soon after the supervisor
      (`workers.child.delayed_exit`), and PR_SET_PDEATHSIG kills the child with the fork server.
    * SIGTERM requests a graceful stop: the run stops at its next event, when every finished task has its
      checkpoint.
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
    """Set the process up, then execute the assignment.

    Args:
        assignment: the run and its limits.
        reports: receives one line of JSON per report.
        log: replaces standard output and standard error.
        watch: delivers the seconds left of the lease.
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

    from workers.child.main import main  # noqa: PLC0415 - the supervisor imports this module, and must not import PyTorch

    try:
        main(assignment, reports, stop_requested)
    except BrokenPipeError:  # found here before the watch found it
        _kill_group("the supervisor has exited")


def _exit_with_fork_server() -> None:
    """Tie this process to the fork server, and the fork server to the supervisor."""
    ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    # Children inherit the pipe that keeps the fork server alive. Open here, it would stay open after the
    # supervisor exits.
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

    def request(signum: int, frame: FrameType | None) -> None:  # noqa: ARG001 - the signature of a signal handler
        stop_requested.set()

    signal.signal(signal.SIGTERM, request)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    return stop_requested


def _watch_lease(watch: Connection, lease_seconds: float) -> None:
    deadline = time.monotonic() + lease_seconds
    while watch.poll(max(0.0, deadline - time.monotonic())):
        try:
            deadline = time.monotonic() + float(watch.recv_bytes())
        except EOFError:
            _kill_group("the supervisor has exited")
    _kill_group("no renewal from the supervisor within the lease")


def _kill_group(reason: str) -> None:
    with suppress(BrokenPipeError):  # the supervisor has closed the log
        os.write(2, f"{reason}; the run is killed\n".encode())
    os.killpg(0, signal.SIGKILL)
