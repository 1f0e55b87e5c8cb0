"""The messages between a supervisor and a child: an `Assignment`, then one report per line. Torch-free.

Decisions:
    * The child measures time, because events carry none: `Progress.seconds` is the duration of a task in the
      attempt that finished it.
    * The failure class is a string, so that the child need not import the store.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, JsonValue, TypeAdapter

from cil_core.spec.base import Frozen
from cil_core.spec.events import Event, RunFinished
from cil_core.spec.jobs import RunSpec

Environment = dict[str, JsonValue]
"""Versions, device, threads and host, on which a result depends besides its spec; and the peaks of memory."""


@dataclass(frozen=True, slots=True)
class Assignment:
    """The work of one child and its limits.

    Attributes:
        spec: the run; with None the child only reports its environment.
        device: `cpu` or `cuda:N`.
        threads: CPU threads of the child.
        memory_bytes: limit of its host memory, or None.
        lease_seconds: its lifetime without a renewal from its supervisor.
        data_root: folder of the datasets.
        directory: for the checkpoints of this attempt; None saves nothing.
        earlier: the directories of earlier attempts.
        first_tasks: folder of shared first tasks; None shares nothing.
        compiled: folder for compiled code; None compiles nothing.
    """

    spec: RunSpec | None
    device: str
    threads: int
    memory_bytes: int | None
    lease_seconds: float
    data_root: Path
    directory: Path | None = None
    earlier: tuple[Path, ...] = ()
    first_tasks: Path | None = None
    compiled: Path | None = None


class Ready(Frozen):
    """PyTorch works on the device; the run is about to start."""

    kind: Literal["ready"] = "ready"
    environment: Environment


class Progress(Frozen):
    """The engine yielded an event."""

    kind: Literal["progress"] = "progress"
    event: Event
    seconds: float | None = Field(
        default=None, description="With TaskEvaluated: seconds since the task started, by a monotonic clock."
    )


class Finished(Frozen):
    """The run is complete."""

    kind: Literal["finished"] = "finished"
    event: RunFinished
    environment: Environment


class Stopped(Frozen):
    """The child stopped on request, between two events: every finished task has its checkpoint."""

    kind: Literal["stopped"] = "stopped"


FailureName = Literal[
    "invalid_spec",
    "invalid_data",
    "out_of_memory",
    "diverged",
    "infrastructure",
    "internal",
    "method_error",
    "rule_broken",
]
"""A failure class that a child can report."""


class Failed(Frozen):
    """The run has failed."""

    kind: Literal["failed"] = "failed"
    failure: FailureName
    message: str
    evidence: Environment


Report = Annotated[Ready | Progress | Finished | Stopped | Failed, Field(discriminator="kind")]
REPORT: TypeAdapter[Report] = TypeAdapter(Report)
"""Reads a report back from its line: `REPORT.validate_json(line)`."""
