"""`Phase`, which a method passes to the trainer; `Batch` and `Step`, which the trainer passes back."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor, nn

from cil_core.data.arrays import ArrayDataset, Batch
from cil_core.spec.schedule import Schedule

__all__ = ["Batch", "Losses", "ParameterGroup", "Phase", "Step", "Task", "TrainingData"]

Losses = dict[str, Tensor]
"""Named, weighted scalar terms; their sum is minimised."""


@dataclass(frozen=True, slots=True)
class Task:
    """The arrival of new classes, as a method sees it: training data only, no test data and no later task.

    Args:
        index: 0 for the first task.
        bounds: class boundaries of the tasks so far, `(0, first, …, seen)`.
        train: the training images of this task's classes.
    """

    index: int
    bounds: tuple[int, ...]
    train: ArrayDataset

    @property
    def is_first(self) -> bool:
        """Whether this is the first task."""
        return self.index == 0

    @property
    def known(self) -> int:
        """o: classes seen before this task; the new ones are labels known … seen − 1."""
        return self.bounds[-2]

    @property
    def seen(self) -> int:
        """n: classes seen including this task."""
        return self.bounds[-1]

    @property
    def new(self) -> int:
        """k = n − o: classes that arrive with this task."""
        return self.seen - self.known

    @property
    def old_share(self) -> float:
        """λ = o / n, the weight of distillation in BiC, WA and COIL."""
        return self.known / self.seen


@dataclass(frozen=True, slots=True)
class Step:
    """Position in a phase: step `index` of `steps` in `epoch` of `epochs`; both count from 0."""

    task: Task
    epoch: int
    epochs: int
    index: int
    steps: int

    @property
    def iteration(self) -> int:
        """Optimiser steps taken in this phase before this one."""
        return self.epoch * self.steps + self.index


class TrainingData(Protocol):
    """What a phase can train on: images, or features if the extractor is frozen."""

    def __len__(self) -> int:
        """Number of samples."""
        ...

    def batches(
        self, batch_size: int, generator: torch.Generator | None = None, augment: bool = False
    ) -> Iterator[Batch]:
        """One pass in batches, shuffled and augmented by `generator` if it is given."""
        ...


@dataclass(frozen=True, slots=True, eq=False)
class ParameterGroup:
    """Parameters with a learning rate and a weight decay of their own.

    Args:
        params: what the optimiser updates.
        lr_factor: multiplies the schedule's learning rate in every epoch.
        weight_decay: replaces the schedule's; None keeps it.
    """

    params: Iterable[nn.Parameter]
    lr_factor: float = 1.0
    weight_decay: float | None = None


@dataclass(frozen=True, slots=True)
class Phase:
    """One optimisation run inside a task.

    Args:
        name: shown in progress and events.
        data: what to train on.
        loss: the terms of the objective for one batch.
        schedule: epochs, batch size, optimiser, learning-rate curve.
        model: the module that is put into training mode.
        params: what the optimiser updates; by default the parameters of `model` that require gradients and
            are in no other group.
        undecayed: further parameters that it updates, without weight decay.
        groups: further parameters that it updates, each group with its own rate and weight decay.
        after_backward: called before every optimiser step, for gradient surgery.
        after_step: called after every optimiser step, for constraints and records.
    """

    name: str
    data: TrainingData
    loss: Callable[[Batch, Step], Losses]
    schedule: Schedule
    model: nn.Module
    params: Iterable[nn.Parameter] | None = None
    undecayed: Iterable[nn.Parameter] = ()
    groups: Iterable[ParameterGroup] = ()
    after_backward: Callable[[Batch, Step], None] | None = None
    after_step: Callable[[Batch, Step], None] | None = None
