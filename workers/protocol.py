"""What the supervisor tells a child at its start, and what the child tells back: one JSON object a line. Torch-free.

Decisions:
    * The child measures time, because events carry none: `Progress.seconds` is what a task took in the attempt that finished it.
    * The failure class is said by name, so that the child need not import the store.
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
"""What a result depends on besides its spec: versions, device, threads, host; and the peaks of memory."""


@dataclass(frozen=True, slots=True)
class Assignment:
    """What a child shall do.

    Attributes:
        spec: the run; None only asks what the child's environment is.
        device: `cpu` or `cuda:N`.
        threads: CPU threads it may use.
        memory_bytes: host memory it may have, or None.
        lease_seconds: how long it may live without news from its supervisor.
        data_root: where datasets lie.
        directory: where this attempt saves; None saves nothing.
        earlier: where earlier attempts saved.
        first_tasks: where first tasks are shared; None shares nothing.
        compiled: where compiled code is kept; None compiles nothing.
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
    """The child obeyed a request to stop, between two events: every finished task has its checkpoint."""

    kind: Literal["stopped"] = "stopped"


class Failed(Frozen):
    """The run cannot go on."""

    kind: Literal["failed"] = "failed"
    failure: Literal[
        "invalid_spec", "invalid_data", "out_of_memory", "diverged", "infrastructure", "internal"
    ]
    message: str
    evidence: Environment


Report = Annotated[Ready | Progress | Finished | Stopped | Failed, Field(discriminator="kind")]
REPORT: TypeAdapter[Report] = TypeAdapter(Report)
"""Reads a report back from its line: `REPORT.validate_json(line)`."""
