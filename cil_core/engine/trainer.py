"""`train(phase)`: the only optimisation loop of the project.

Decisions:
    * Loss sums stay on the device and are read once per epoch, which is also when divergence is detected.
    * Shuffling and augmentation draw from generators derived from task, phase and epoch.
    * Gradients are released at the end of a phase; parameters that are frozen afterwards would keep theirs
      forever.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from cil_core.learning.phase import Batch, Losses, ParameterGroup, Phase, Step, Task
from cil_core.learning.seeding import Randomness
from cil_core.spec.errors import Diverged
from cil_core.spec.schedule import Schedule


@dataclass(frozen=True, slots=True)
class EpochReport:
    """One finished epoch: its learning rate and the mean of each weighted loss term over its batches."""

    epoch: int
    lr: float
    losses: dict[str, float]


def train(phase: Phase, task: Task, randomness: Randomness, number: int = 0) -> Iterator[EpochReport]:
    """Optimise `phase`.

    Args:
        phase: what to train.
        task: the task that the phase belongs to.
        randomness: source of the generators.
        number: position of the phase in its task, so that phases draw different numbers.

    Yields:
        One report per epoch.

    Raises:
        Diverged: if a loss term is NaN or infinite; the message names task, phase and epoch.
        ValueError: if the phase has no parameter to train.
    """
    optimizer = make_optimizer(phase)
    schedule = phase.schedule
    steps = math.ceil(len(phase.data) / schedule.batch_size)
    for epoch in range(schedule.epochs):
        lr = schedule.lr_at(epoch)
        for group in optimizer.param_groups:
            group["lr"] = lr * group["lr_factor"]
        phase.model.train()
        generator = randomness.on_device("batches", task.index, number, epoch)
        totals: dict[str, Tensor] = {}
        for index, batch in enumerate(phase.data.batches(schedule.batch_size, generator, augment=True)):
            losses = _step(phase, optimizer, batch, Step(task, epoch, schedule.epochs, index, steps))
            for name, value in losses.items():
                totals[name] = totals[name] + value.detach() if name in totals else value.detach()
        means = {name: float(total) / steps for name, total in totals.items()}
        _check_finite(means, task, phase.name, epoch)
        yield EpochReport(epoch, lr, means)
    phase.model.eval()
    optimizer.zero_grad(set_to_none=True)


def make_optimizer(phase: Phase) -> torch.optim.Optimizer:
    """The optimiser of a phase's schedule, over its parameters.

    Raises:
        ValueError: if the phase has no parameter to train.
    """
    extra = [ParameterGroup(phase.undecayed, weight_decay=0.0), *phase.groups]
    others = [list(group.params) for group in extra]
    taken = {parameter for params in others for parameter in params}
    params = (
        list(phase.params)
        if phase.params is not None
        else [p for p in phase.model.parameters() if p.requires_grad and p not in taken]
    )
    if not params and not taken:
        raise ValueError(f"phase {phase.name!r} has no parameter to train")
    groups: list[dict[str, Any]] = [{"params": params, "lr_factor": 1.0}] if params else []
    for group, members in zip(extra, others, strict=True):
        decay = phase.schedule.weight_decay if group.weight_decay is None else group.weight_decay
        if members:
            groups.append({"params": members, "lr_factor": group.lr_factor, "weight_decay": decay})
    return _optimizer(phase.schedule, groups)


def _optimizer(schedule: Schedule, params: list[dict[str, Any]]) -> torch.optim.Optimizer:
    if schedule.optimizer == "adam":
        return torch.optim.Adam(params, lr=schedule.lr, weight_decay=schedule.weight_decay)
    if schedule.optimizer == "adamw":
        return torch.optim.AdamW(params, lr=schedule.lr, weight_decay=schedule.weight_decay)
    return torch.optim.SGD(
        params, lr=schedule.lr, momentum=schedule.momentum, weight_decay=schedule.weight_decay
    )


def _step(phase: Phase, optimizer: torch.optim.Optimizer, batch: Batch, step: Step) -> Losses:
    losses = phase.loss(batch, step)
    optimizer.zero_grad(set_to_none=True)
    torch.stack(list(losses.values())).sum().backward()
    if phase.after_backward:
        phase.after_backward(batch, step)
    if phase.schedule.clip_norm:
        trained = [parameter for group in optimizer.param_groups for parameter in group["params"]]
        torch.nn.utils.clip_grad_norm_(trained, phase.schedule.clip_norm)
    optimizer.step()
    if phase.after_step:
        phase.after_step(batch, step)
    return losses


def _check_finite(means: dict[str, float], task: Task, phase: str, epoch: int) -> None:
    bad = {name: value for name, value in means.items() if not math.isfinite(value)}
    if bad:
        terms = ", ".join(f"{name} = {value}" for name, value in bad.items())
        raise Diverged(
            f"the loss diverged in task {task.index + 1}, phase {phase!r}, epoch {epoch + 1}: {terms};"
            " a smaller learning rate may help"
        )
