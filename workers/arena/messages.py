"""The order that a candidate receives, and the messages that it may send. Torch-free.

Decisions:
    * An order is JSON in sealed memory: trusted to untrusted only. A message is one line of JSON, and each
      field is bounded, because the file that runs in the candidate may write anything.
    * A message makes no claim that counts: states and answers are files, and the examiner measures them.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, StringConstraints, TypeAdapter

from cil_core.spec.base import Frozen
from cil_core.spec.catalog import DatasetCard
from cil_core.spec.events import EpochFinished
from cil_core.spec.jobs import MemoryBudget

LINE_BYTES = 65_536
LINES = 100_000

Sandbox = Literal["off", "locked", "walled"]
"""What separates a candidate from this machine: nothing, or a mode of the sandbox."""

FAILED, UNFIT = 1, 3
"""Exit codes of a candidate whose file failed, and of one that could not enter the sandbox."""


class Order(Frozen):
    """The work of one candidate."""

    action: Literal["describe", "learn", "answer"]
    source: str = Field(description="Text of the submitted file.")
    recipe: dict[str, Any] = {}
    dataset: DatasetCard | None = None
    backbone: str = ""
    budget: MemoryBudget | None = None
    task_sizes: tuple[int, ...] = ()
    seed: int = 0
    device: str = "cpu"
    precision: str = "fp32"
    threads: int = 1
    task: int = 0
    bounds: tuple[int, ...] = ()
    images: int = Field(default=0, description="Images in the data that comes with it.")
    sandbox: Sandbox = "off"
    memory_bytes: int | None = None
    state_bytes: int = Field(default=2**30, description="Longest state that it may leave.")


Name = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]{0,39}$")]
Parameters = Annotated[int, Field(ge=0, le=10**12)]


class Epoch(Frozen):
    """The learner finished an epoch."""

    kind: Literal["epoch"] = "epoch"
    event: EpochFinished


class Learned(Frozen):
    """The learner is done; its state is in the result."""

    kind: Literal["learned"] = "learned"
    parameters: Parameters
    backbone_parameters: Parameters
    diagnostics: dict[Name, float] = Field(max_length=20)


class Answered(Frozen):
    """The answerer is done; the best classes are in the result."""

    kind: Literal["answered"] = "answered"
    classifiers: tuple[Name, ...] = Field(max_length=8)


class Described(Frozen):
    """The recipe as the file defines it when it runs."""

    kind: Literal["described"] = "described"
    recipe: dict[str, Any]


class Failed(Frozen):
    """The file raised an exception."""

    kind: Literal["failed"] = "failed"
    error: str = Field(max_length=200)
    message: str = Field(max_length=2000)
    traceback: tuple[Annotated[str, Field(max_length=500)], ...] = Field(max_length=60)


class Unfit(Frozen):
    """The sandbox cannot be entered on this machine; the file has not run."""

    kind: Literal["unfit"] = "unfit"
    message: str = Field(max_length=2000)


Message = Annotated[Epoch | Learned | Answered | Described | Failed | Unfit, Field(discriminator="kind")]
MESSAGE: TypeAdapter[Message] = TypeAdapter(Message)
"""Reads a line of a candidate: `MESSAGE.validate_json(line)`."""
