"""Events that a run emits while it trains: frozen, torch-free, one JSON object each.

Labels are positions in the class order; task indices start at 0. Events carry no time: their
receiver has a clock.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, TypeAdapter

from cil_core.spec.base import Before, Frozen


class RunStarted(Frozen):
    """The data is loaded and the network built; sent once an attempt, also when it resumes."""

    kind: Literal["run_started"] = "run_started"
    engine_version: str
    spec_digest: str
    device: str
    dataset_fingerprint: str
    task_sizes: tuple[int, ...]
    class_order: tuple[int, ...]
    resumed_at: int = Field(description="Index of the first task this attempt trains; 0 for a fresh start.")
    skipped_checkpoints: tuple[str, ...] = Field(
        default=(), description="Damaged checkpoints that were found and passed over, with the reason."
    )
    weights_sha256: str | None = Field(
        default=None, exclude_if=Before(None), description="SHA-256 of the file of weights it starts from."
    )
    compiled: bool = Field(
        default=False, description="Whether the backbones' training batches are computed by compiled code."
    )


class TaskStarted(Frozen):
    """A task's classes have arrived."""

    kind: Literal["task_started"] = "task_started"
    task: int
    known: int = Field(description="Classes seen before this task.")
    seen: int = Field(description="Classes seen including this task.")
    train_images: int
    exemplars: int


class EpochFinished(Frozen):
    """One epoch of one phase; losses are means over its batches, weighted as in the objective."""

    kind: Literal["epoch_finished"] = "epoch_finished"
    task: int
    phase: str
    epoch: int
    epochs: int
    lr: float
    losses: dict[str, float]


class Footprint(Frozen):
    """What a method keeps after a task, in both ways of counting memory."""

    parameters: int = Field(description="Parameters of the network in use, heads included.")
    backbone_parameters: int = Field(
        description="Parameters without heads: what the survey's convention counts."
    )
    exemplars: int
    counted_bytes: int = Field(
        description="Survey convention: uint8 exemplars + float32 backbone parameters."
    )
    kept_bytes: int = Field(
        description="Everything that persists between tasks: exemplars and every stored tensor, the "
        "teacher excepted, which is a copy of the network."
    )


class Counts(Frozen):
    """Correct test predictions of one classifier per task seen so far: a row of the task × task matrix."""

    correct: tuple[int, ...]
    correct_top5: tuple[int, ...] = Field(description="The true class is among the min(5, seen) best.")


class TaskEvaluated(Frozen):
    """The model after a task, tested on all classes seen so far."""

    kind: Literal["task_evaluated"] = "task_evaluated"
    task: int
    known: int
    seen: int
    test_images: tuple[int, ...] = Field(description="Test images of each task seen so far.")
    results: dict[str, Counts] = Field(description="By classifier, e.g. linear, nme.")
    footprint: Footprint
    diagnostics: dict[str, float] = Field(
        default={}, description="What the method reports about itself, e.g. parameters before pruning."
    )


class RunFinished(Frozen):
    """Every task has been learnt and tested."""

    kind: Literal["run_finished"] = "run_finished"
    matrix_digest: str = Field(
        description="SHA-256 over all correct counts: equal digests mean equal counts."
    )
    features_sha256: str | None = Field(
        default=None,
        exclude_if=Before(None),
        description="Of the frozen features it ran on: equal digests mean equal features to the last bit.",
    )


Event = Annotated[
    RunStarted | TaskStarted | EpochFinished | TaskEvaluated | RunFinished, Field(discriminator="kind")
]
EVENT: TypeAdapter[Event] = TypeAdapter(Event)
"""Reads an event back from its JSON: `EVENT.validate_json(line)`."""
