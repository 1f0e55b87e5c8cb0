"""`serve`: a worker from its start to its exit, as one process.

    main thread   Supervisor: claims; drains on SIGTERM or Ctrl-C
    a thread      Listener: the Celery consumer
    a thread      Caretaker: heartbeat of the worker, reaper, retention
    a thread      Execution: one per running run, with its child process

Decisions:
    * A worker whose device does not work refuses to start: it would claim every run and fail it.
    * A worker that should run submitted files tests its sandbox first. One that does not hold is an error in
      the log, and the worker offers its other runs only.
    * It waits for a database that is not reachable yet, but refuses one with another schema.
"""

from __future__ import annotations

import logging
import os
import secrets
import signal
import time
from pathlib import Path

from pydantic import JsonValue

import migrations
from cil_core.spec.errors import DataError
from cil_core.spec.weights_files import usable
from store.database.errors import AlreadyExists
from store.database.session import Database
from store.runs import WorkerOffer
from workers.parent import compiler
from workers.parent.caretaker import Caretaker
from workers.parent.datasets import announce
from workers.parent.event_writer import AWAY
from workers.parent.execution import Placement
from workers.parent.listener import Listener
from workers.parent.process import ChildProcess, start_fork_server
from workers.parent.settings import Community, WorkerSettings
from workers.parent.supervisor import Supervisor
from workers.protocol import Assignment, Environment, Failed, Ready
from workers.sandbox import Mode, self_test

log = logging.getLogger(__name__)

COMMUNITY_QUEUE = "community"
"""The queue of runs of submitted files."""

_PROBE_SECONDS = 300.0


class CannotServe(Exception):
    """The worker cannot work on this machine; the message says why."""


def serve(settings: WorkerSettings, *, device: str, slots: int, queue: str) -> None:
    """Work until SIGTERM or Ctrl-C.

    Args:
        settings: services, intervals and limits.
        device: `cpu` or `cuda:N`.
        slots: runs at a time.
        queue: the source of runs.

    Raises:
        CannotServe: the device, the data directory, the schema, the compiler or the sandbox is unusable.
    """
    placement = Placement(device, settings.threads or max(1, len(os.sched_getaffinity(0)) // slots))
    _check_directory(settings.checkpoints)
    _check_compiler(settings)
    community = _test_sandbox(settings, device, queue)
    _await_schema(settings)
    start_fork_server(placement.threads)
    environment = _probe(placement, settings)
    database = Database(settings.database_url.get_secret_value())
    _announce_folders(database, settings)
    listener = Listener(settings.redis_url.get_secret_value(), queue)
    offer = WorkerOffer(f"{environment['host']}-{os.getpid()}-{secrets.token_hex(3)}", queue, device)
    supervisor = Supervisor(offer, slots, placement, database, listener=listener, settings=settings)
    caretaker = Caretaker(
        offer,
        environment
        | {"slots": slots, "pid": os.getpid(), "community": community, "weights": _weights(settings)},
        database,
        listener,
        settings,
    )
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: supervisor.stop())
    listener.start()
    caretaker.start()
    where = f"{environment['device_name']} with {placement.threads} thread(s)"
    log.info("worker %s: %d slot(s) on %s each, queue %s", offer.id, slots, where, queue)
    supervisor.run()
    caretaker.close()
    listener.close()
    database.dispose()
    log.info("worker %s: stopped", offer.id)


def _announce_folders(database: Database, settings: WorkerSettings) -> None:
    while True:
        try:
            announced = announce(database, settings.datasets)
        except AWAY as error:
            log.warning("waiting for the database: %s", error)
            time.sleep(settings.poll_seconds)
        except (DataError, AlreadyExists) as error:
            raise CannotServe(f"the datasets in {settings.datasets}: {error}") from error
        else:
            break
    if announced:
        log.info("registered folder datasets: %s", ", ".join(announced))


def _weights(settings: WorkerSettings) -> list[JsonValue]:
    try:
        return [*sorted(usable(settings.datasets))]
    except DataError as error:
        raise CannotServe(f"the weights in {settings.datasets}: {error}") from error


def _check_directory(checkpoints: Path) -> None:
    try:
        checkpoints.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise CannotServe(f"cannot write checkpoints into {checkpoints}: {error.strerror}") from error


def _check_compiler(settings: WorkerSettings) -> None:
    if settings.compile_backbones and (missing := compiler.missing_for("CIL_COMPILE_BACKBONES")):
        raise CannotServe(missing)


def _probe(placement: Placement, settings: WorkerSettings) -> Environment:
    """The environment of a child, found by starting one."""
    assignment = Assignment(
        None, placement.device, placement.threads, settings.memory_bytes, _PROBE_SECONDS, settings.datasets
    )
    child = ChildProcess(assignment)
    deadline = time.monotonic() + _PROBE_SECONDS
    try:
        while time.monotonic() < deadline:
            ended = child.ended
            for report in child.read(1.0):
                if isinstance(report, Ready):
                    return report.environment
                if isinstance(report, Failed):
                    raise CannotServe(report.message)
            if ended:
                break
        raise CannotServe(f"a trial process exited without a report: {child.evidence()}")
    finally:
        child.close()


def _test_sandbox(settings: WorkerSettings, device: str, queue: str) -> Mode | None:
    """The mode in which this worker offers runs of submitted files; None if it offers none.

    Raises:
        CannotServe: the queue holds nothing else, and the sandbox does not hold.
    """
    if settings.community is Community.OFF:
        fault: str | None = "CIL_COMMUNITY is off"
    elif device != "cpu":
        fault = f"submitted files run on cpu only, not on {device}"
    else:
        mode = Mode(settings.community.value)
        result = self_test(mode)
        fault = result.fault
        if fault is None:
            log.info("sandbox %s: %d probes refused", mode, result.probes)
            return mode
    if queue == COMMUNITY_QUEUE:
        raise CannotServe(f"the queue {queue} holds runs of submitted files only: {fault}")
    if settings.community is not Community.OFF:
        log.error("this worker offers no runs of submitted files: %s", fault)
    return None


def _await_schema(settings: WorkerSettings) -> None:
    while True:
        try:
            revision = migrations.current(settings.database_url.get_secret_value())
        except AWAY as error:
            log.warning("waiting for the database: %s", error)
            time.sleep(settings.poll_seconds)
            continue
        if revision != migrations.HEAD:
            raise CannotServe(
                f"the database has the schema {revision or '(none)'}, this worker needs {migrations.HEAD}: "
                "run the migrations first"
            )
        return
