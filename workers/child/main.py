"""What a child does with its assignment: run the engine and tell every event. Imported once, by the fork server; must not touch CUDA on import."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator
from multiprocessing.connection import Connection

import torch

from cil_core.engine.checkpoint import Checkpoints
from cil_core.engine.machine import Machine
from cil_core.engine.run import run
from cil_core.spec.events import RunFinished, RunStarted
from cil_core.spec.jobs import RunSpec
from workers.child.environment import describe, peaks
from workers.child.failures import failed
from workers.child.stopwatch import Stopwatch
from workers.protocol import Assignment, Environment, Failed, Finished, Progress, Ready, Report, Stopped


def main(assignment: Assignment, reports: Connection, stop_requested: threading.Event) -> None:
    """Carry out the assignment and tell how it goes; the last report says how it ended.

    Args:
        assignment: what to do.
        reports: where to tell.
        stop_requested: set when the child shall stop at the next event.
    """
    torch.set_num_threads(assignment.threads)
    if assignment.compiled:
        os.environ["TORCHINDUCTOR_CACHE_DIR"] = str(assignment.compiled.absolute())
    with open(reports.fileno(), "w", encoding="utf-8", closefd=False) as lines:
        for report in _until_failure(assignment, stop_requested):
            lines.write(report.model_dump_json() + "\n")
            lines.flush()


def _until_failure(assignment: Assignment, stop_requested: threading.Event) -> Iterator[Report]:
    try:
        environment = describe(assignment.device)
    except Exception as error:  # noqa: BLE001 - whatever is wrong with the device, it is this machine's fault, and the supervisor shall hear of it
        yield Failed(
            failure="infrastructure",
            message=f"{assignment.device} does not work here: {error}",
            evidence={"device": assignment.device},
        )
        return
    yield Ready(environment=environment)
    if assignment.spec is None:
        return
    try:
        for report in _run(assignment.spec, assignment, stop_requested):
            yield (
                report.model_copy(update={"environment": environment | report.environment})
                if isinstance(report, Finished)
                else report
            )
    except Exception as error:  # noqa: BLE001 - every exception has a failure class; the supervisor records it with the traceback
        yield failed(error, assignment)


def _run(spec: RunSpec, assignment: Assignment, stop_requested: threading.Event) -> Iterator[Report]:
    stopwatch = Stopwatch(assignment.directory, assignment.earlier)
    checkpoints = Checkpoints(assignment.directory, assignment.earlier) if assignment.directory else None
    started = time.monotonic()
    depends_on: Environment = {"precision": spec.track.precision}
    machine = Machine(
        device=assignment.device,
        data_root=assignment.data_root,
        first_tasks=assignment.first_tasks,
        compile=assignment.compiled is not None,
    )
    for event in run(spec, machine, checkpoints):
        if isinstance(event, RunFinished):
            yield Finished(
                event=event,
                environment={
                    **depends_on,
                    "attempt_seconds": time.monotonic() - started,
                    **peaks(assignment.device),
                },
            )
            return
        if isinstance(event, RunStarted):
            depends_on |= {"dataset_fingerprint": event.dataset_fingerprint, "compiled": event.compiled}
        yield Progress(event=event, seconds=stopwatch.seconds(event))
        if stop_requested.is_set():
            yield Stopped()
            return
