"""Results that leak: methods made here let test images see each other, or change while they are tested."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from cil_core.engine.machine import Machine
from cil_core.engine.run import run
from cil_core.learning.method import Method
from cil_core.nets.incremental import IncrementalNet, Outputs
from cil_core.spec.errors import RuleBroken
from cil_core.spec.events import Event, RunFinished, TaskEvaluated
from cil_core.spec.jobs import RunSpec

Cheat = Callable[[Any, Tensor], Tensor]
"""(Network, honest logits) → logits."""


def votes(net: Any, logits: Tensor) -> Tensor:
    """All images of a batch prefer the class that most of them like: sorted test sets give the task away."""
    return logits + 10 * torch.nn.functional.one_hot(logits.sum(dim=0).argmax(), logits.shape[1])


def splits(net: Any, logits: Tensor) -> Tensor:
    """The second half of a batch is treated in another way than the first."""
    half = torch.arange(len(logits)) >= len(logits) // 2
    return torch.where(half[:, None], logits.roll(1, dims=1), logits)


def drifts(net: Any, logits: Tensor) -> Tensor:
    """Weights move at every forward pass, too little to change an answer at once."""
    with torch.no_grad():
        net.head.weight.mul_(1 - 1e-7)
    return logits


def honest(net: Any, logits: Tensor) -> Tensor:
    return logits


def events_of(cheat: Cheat, monkeypatch: pytest.MonkeyPatch) -> list[Event]:
    class Cheating(IncrementalNet):  # type: ignore[type-arg]
        def forward(self, x: Tensor) -> Outputs:
            logits, features = super().forward(x)
            return Outputs(logits if self.training else cheat(self, logits), features)

    class Finetuned(Method):
        def build(self, backbone: Any) -> Any:
            return Cheating(backbone, super().build(backbone).head)  # type: ignore[attr-defined]

    monkeypatch.setattr("cil_core.engine.run.create", Finetuned)
    one_epoch = {"epochs": 1, "batch_size": 64, "lr": 0.05, "milestones": []}
    spec = RunSpec.model_validate(
        {
            "method": {"name": "finetune", "first_task": one_epoch, "later_tasks": one_epoch},
            "track": "digits-b5-inc5-m0-convnet",
            "seed": 1,
        }
    )
    events: list[Event] = []
    try:
        events.extend(run(spec, Machine(data_root=Path("/nonexistent"))))
    except RuleBroken:
        assert not any(isinstance(event, RunFinished) for event in events)
        raise
    return events


def test_an_honest_method_finishes(monkeypatch: pytest.MonkeyPatch) -> None:
    events = events_of(honest, monkeypatch)
    assert isinstance(events[-1], RunFinished)
    assert sum(isinstance(event, TaskEvaluated) for event in events) == 2


@pytest.mark.parametrize(
    ("cheat", "reason"),
    [
        (votes, "of 16 test images have other scores alone"),
        (splits, "of 64 test images have other scores in another order"),
        (drifts, "testing changed the method's state"),
    ],
)
def test_a_method_whose_results_leak_has_none(
    cheat: Cheat, reason: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(RuleBroken, match=reason):
        events_of(cheat, monkeypatch)
