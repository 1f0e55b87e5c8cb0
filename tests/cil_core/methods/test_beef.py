"""BEEF: what each phase trains, and what stays."""

from __future__ import annotations

from typing import Any

import pytest
import torch
import torch.nn.functional as F

from cil_core.nets.fusion import task_labels


def test_without_energy_the_first_task_is_plain_cross_entropy(start: Any) -> None:
    walk = start("beef", energy_weight=0.0)
    task = walk.grown(0)
    batch = walk.batch(task)
    walk.method.net.eval()
    losses = walk.method.losses(batch, walk.step(task))
    assert losses.keys() == {"classification"}
    logits = walk.method.heads.new(walk.method.net.newest(batch.x))
    assert torch.equal(losses["classification"], F.cross_entropy(logits, batch.y))


def test_logits_of_old_tasks_are_divided_in_the_classification(start: Any) -> None:
    walk = start("beef", energy_weight=0.0)
    task = walk.grown(2)
    method, batch = walk.method, walk.batch(task, 40)
    method.net.eval()
    logits = method.heads.expansion(method.net.newest(batch.x)).clone()
    assert logits.shape == (40, 2 + 3)
    logits[:, :2] /= 1.7
    expected = F.cross_entropy(logits, task_labels(batch.y, (0, 4, 7, 10)))
    found = method.losses(batch, walk.step(task))["classification"]
    assert found.item() == pytest.approx(expected.item(), rel=1e-5)


def test_a_new_branch_starts_from_the_first_one(start: Any) -> None:
    walk = start("beef")
    walk.grown(2)
    first, _, third = walk.method.net.extractors
    assert all(torch.equal(value, first.state_dict()[name]) for name, value in third.state_dict().items())


def test_fusion_trains_a_scale_and_a_shift_per_old_task_and_moves_nothing_else(
    start: Any, differing: Any
) -> None:
    walk = start("beef")
    task = walk.grown(2)
    phases = walk.phases(task)
    next(phases)
    fusion = next(phases)
    assert sum(parameter.numel() for parameter in fusion.params) == 2 * 2
    before = walk.state()
    assert next(phases, None) is None
    assert differing(before, walk.state()) == {"heads.scale", "heads.shift"}


def test_old_branches_keep_their_batch_norm_statistics_in_the_expansion(start: Any) -> None:
    """Public codes put only the first branch into evaluation mode."""
    walk = start("beef")
    task = walk.grown(2)
    branches = walk.method.net.extractors[:2]
    before = {name: value.clone() for name, value in branches.state_dict().items()}
    list(walk.phases(task))
    assert all(torch.equal(value, before[name]) for name, value in branches.state_dict().items())


def test_finding_negatives_moves_no_statistics_and_leaves_no_gradient(start: Any, differing: Any) -> None:
    walk = start("beef")
    task = walk.grown(1)
    walk.method.net.train()
    before, batch = walk.state(), walk.batch(task)
    found = walk.method.negatives(batch.x, walk.step(task))
    assert found.shape == batch.x.shape
    assert differing(before, walk.state()) == set()
    assert walk.method.net.newest.training
    assert all(parameter.grad is None for parameter in walk.method.parameters())


@pytest.mark.parametrize("old_bias", [True, False])
def test_the_network_after_the_task_computes_what_fusion_trained(start: Any, old_bias: bool) -> None:
    walk = start("beef", old_bias=old_bias)
    task = walk.grown(2)
    for _ in walk.phases(task):
        pass
    method, batch = walk.method, walk.batch(task)
    trained = method.fusion_losses(batch, walk.step(task))["classification"].item()
    method.consolidate(task)
    assert method.heads is None
    assert F.cross_entropy(method.net(batch.x).logits, batch.y).item() == pytest.approx(trained, rel=1e-4)


def test_after_the_first_task_the_network_is_the_head_that_was_trained(start: Any) -> None:
    walk = start("beef")
    task = walk.grown(0)
    for _ in walk.phases(task):
        pass
    batch = walk.batch(task)
    expected = walk.method.heads.new(walk.method.net.newest(batch.x))
    walk.method.consolidate(task)
    assert torch.allclose(walk.method.net(batch.x).logits, expected, atol=1e-6)
