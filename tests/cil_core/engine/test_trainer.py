"""The optimiser of a phase: groups, decoupled weight decay and clipped gradients."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import nn

from cil_core.data.arrays import ArrayDataset, Batch
from cil_core.data.augment import Transform
from cil_core.data.features import FeatureDataset
from cil_core.engine.trainer import make_optimizer, train
from cil_core.learning.phase import Losses, ParameterGroup, Phase, Step, Task
from cil_core.learning.seeding import Randomness
from cil_core.spec.catalog import DATASETS
from cil_core.spec.schedule import Schedule

SGD = Schedule(epochs=2, batch_size=4, lr=0.5, momentum=0.0, weight_decay=0.0, curve="constant")
DATA = FeatureDataset(torch.zeros(4, 1), torch.zeros(4, dtype=torch.long))


class Pair(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.slow, self.fast = (nn.Parameter(torch.tensor([3.0, 4.0])) for _ in range(2))


def trained(phase: Phase) -> list[float]:
    """The rates that were reported."""
    digits = Transform(DATASETS["digits"])
    images = ArrayDataset(
        torch.zeros(1, 1, 8, 8, dtype=torch.uint8), torch.zeros(1, dtype=torch.long), digits
    )
    return [epoch.lr for epoch in train(phase, Task(0, (0, 1), images), Randomness(0, torch.device("cpu")))]


def phase_of(pair: Pair, **changes: Any) -> Phase:
    def loss(batch: Batch, step: Step) -> Losses:
        return {"sum": (pair.slow + pair.fast).sum()}

    return replace(Phase("fit", DATA, loss, SGD, pair), **changes)


def test_a_group_has_a_multiple_of_the_rate() -> None:
    pair = Pair()
    assert trained(phase_of(pair, groups=[ParameterGroup([pair.slow], lr_factor=0.1)])) == [0.5, 0.5]
    assert pair.fast.tolist() == pytest.approx([2.0, 3.0])  # two steps of 0.5
    assert pair.slow.tolist() == pytest.approx([2.9, 3.9])


def test_a_group_has_its_own_weight_decay() -> None:
    pair = Pair()
    schedule = SGD.model_copy(update={"epochs": 1, "weight_decay": 0.1})
    trained(phase_of(pair, schedule=schedule, groups=[ParameterGroup([pair.slow], weight_decay=0.2)]))
    assert pair.fast.tolist() == pytest.approx([3 - 0.5 * 1.3, 4 - 0.5 * 1.4])
    assert pair.slow.tolist() == pytest.approx([3 - 0.5 * 1.6, 4 - 0.5 * 1.8])


def test_a_group_without_a_decay_takes_that_of_the_schedule() -> None:
    pair = Pair()
    phase = phase_of(pair, schedule=SGD.model_copy(update={"weight_decay": 0.1}), params=[pair.fast])
    groups = make_optimizer(replace(phase, groups=[ParameterGroup([pair.slow])])).param_groups
    assert [group["weight_decay"] for group in groups] == [0.1, 0.1]


def test_a_phase_may_train_groups_alone() -> None:
    pair = Pair()
    trained(phase_of(pair, params=[], groups=[ParameterGroup([pair.fast])]))
    assert pair.slow.tolist() == [3, 4]
    assert pair.fast.tolist() == [2, 3]


def test_a_phase_without_parameters_is_refused() -> None:
    with pytest.raises(ValueError, match="no parameter to train"):
        make_optimizer(phase_of(Pair(), params=[], groups=[ParameterGroup([])]))


def test_the_gradient_of_all_groups_together_is_scaled_to_the_norm() -> None:
    pair = Pair()
    schedule = SGD.model_copy(update={"epochs": 1, "clip_norm": 1.0})  # four gradients of 1: norm 2
    trained(phase_of(pair, schedule=schedule, groups=[ParameterGroup([pair.slow])]))
    assert pair.fast.tolist() == pytest.approx([2.75, 3.75])
    assert pair.slow.tolist() == pytest.approx([2.75, 3.75])


def test_a_shorter_gradient_is_not_clipped() -> None:
    pair = Pair()
    trained(phase_of(pair, schedule=SGD.model_copy(update={"epochs": 1, "clip_norm": 2.5})))
    assert pair.fast.tolist() == [2.5, 3.5]


def test_surgery_on_gradients_precedes_clipping() -> None:
    pair = Pair()

    def double(batch: Batch, step: Step) -> None:
        for parameter in pair.parameters():
            assert parameter.grad is not None
            parameter.grad.mul_(2)

    schedule = SGD.model_copy(update={"epochs": 1, "clip_norm": 1.0})
    trained(phase_of(pair, schedule=schedule, after_backward=double))
    assert pair.fast.tolist() == pytest.approx([2.75, 3.75])


def test_adamw_decays_weights_apart_from_the_gradient() -> None:
    pair = Pair()
    schedule = Schedule(epochs=1, optimizer="adamw", lr=0.1, weight_decay=0.5, curve="constant")
    trained(phase_of(pair, schedule=schedule))
    # Adam's first step is the rate; the decay multiplies by 1 − 0.1 · 0.5
    assert pair.fast.tolist() == pytest.approx([3 * 0.95 - 0.1, 4 * 0.95 - 0.1])
