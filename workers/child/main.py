"""The work of a child: run the engine and report every event. The fork server imports it once.

Importing it must not touch CUDA.
"""

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
    """Execute the assignment and report every event; the last report is the outcome.

    Args:
        assignment: the run and its limits.
        reports: receives the reports.
        stop_requested: when set, the run stops at its next event.
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
    except Exception as error:  # noqa: BLE001 - every fault of a device is a fault of this machine, and is reported as such
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
    except Exception as error:  # noqa: BLE001 - every exception has a failure class, and is recorded with its traceback
        yield failed(error, assignment)


def _run(spec: RunSpec, assignment: Assignment, stop_requested: threading.Event) -> Iterator[Report]:
    stopwatch = Stopwatch(assignment.directory, assignment.earlier)
    checkpoints = Checkpoints(assignment.directory, assignment.earlier) if assignment.directory else None
    started = time.monotonic()
    known: Environment = {"precision": spec.track.precision}
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
                    **known,
                    **({"features_sha256": event.features_sha256} if event.features_sha256 else {}),
                    "attempt_seconds": time.monotonic() - started,
                    **peaks(assignment.device),
                },
            )
            return
        if isinstance(event, RunStarted):
            known |= {"dataset_fingerprint": event.dataset_fingerprint, "compiled": event.compiled}
            if event.weights_sha256:
                known |= {"weights_sha256": event.weights_sha256}
        yield Progress(event=event, seconds=stopwatch.seconds(event))
        if stop_requested.is_set():
            yield Stopped()
            return
