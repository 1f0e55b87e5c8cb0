"""SLCA: a slow network, and a head that is aligned for testing and restored afterwards."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from cil_core.engine.trainer import make_optimizer


def test_the_network_learns_at_a_share_of_the_heads_rate(start_pretrained: Any) -> None:
    walk = start_pretrained("slca", network_rate=0.01)
    phase = next(walk.phases(walk.grown(0)))
    head, network = make_optimizer(phase).param_groups
    assert (head["lr_factor"], network["lr_factor"]) == (1.0, 0.01)
    assert sum(map(torch.numel, network["params"])) == 51_616
    assert sum(map(torch.numel, head["params"])) == 5 * 33
    assert head["weight_decay"] == network["weight_decay"] == 5e-4


def test_old_layers_of_the_head_rest_while_a_task_is_learnt(start_pretrained: Any) -> None:
    walk = start_pretrained("slca")
    walk.finish(0)
    old = walk.method.unaligned.weights[0].clone()
    task = walk.grown_next(1)
    phases = walk.phases(task)
    next(phases)
    next(phases)  # the first phase is trained
    assert torch.equal(walk.method.net.head.weights[0], old)
    assert torch.equal(walk.method.unaligned.weights[0], old)


def test_the_first_task_is_not_aligned(start_pretrained: Any) -> None:
    walk = start_pretrained("slca")
    assert [phase.name for phase in walk.phases(walk.grown(0))] == ["fit"]


def test_alignment_trains_all_layers_of_the_head_and_nothing_else(
    start_pretrained: Any, differing: Any
) -> None:
    walk = start_pretrained("slca")
    task = walk.grown(1)
    phases = walk.phases(task)
    next(phases)
    assert next(phases).name == "alignment"
    before = walk.state()
    assert list(phases) == []
    heads = {f"net.head.{kind}.{task}" for kind in ("weights", "biases") for task in (0, 1)}
    assert differing(before, walk.state()) == heads


def test_the_head_is_restored_before_the_next_task(start_pretrained: Any) -> None:
    walk = start_pretrained("slca")
    walk.finish(0)
    walk.finish(1)
    unaligned = [weight.clone() for weight in walk.method.unaligned.weights]
    assert not torch.equal(walk.method.net.head.weights[0], unaligned[0])
    walk.grown_next(2)
    for index, weight in enumerate(unaligned):
        assert torch.equal(walk.method.net.head.weights[index], weight)


def test_means_of_older_classes_shrink_and_new_ones_do_not(start_pretrained: Any) -> None:
    """Tasks of 5 and 3 classes at t = 1: ρ is .95 for the first five and 1 for the others."""
    walk = start_pretrained("slca")
    walk.finish(0)
    walk.finish(1)
    gaussians = walk.method.gaussians
    shares = walk.method.shrunken(walk.task(1)).means / gaussians.means
    assert torch.allclose(shares[:5], torch.tensor(0.95))
    assert torch.allclose(shares[5:], torch.tensor(1.0))


def test_statistics_of_old_classes_are_those_of_their_task(start_pretrained: Any) -> None:
    walk = start_pretrained("slca")
    first = walk.finish(0).gaussians.covariances.clone()
    walk.finish(1)
    assert torch.equal(walk.method.gaussians.covariances[:5], first)
    assert len(walk.method.gaussians.means) == 8


def test_the_statistics_are_unbiased_and_of_test_pixels(start_pretrained: Any) -> None:
    walk = start_pretrained("slca")
    method, train = walk.finish(0), walk.task(0).train
    members = method.raw_features(train)[train.labels == 2]
    assert torch.allclose(method.gaussians.means[2], members.mean(dim=0), atol=1e-5)
    assert torch.allclose(method.gaussians.covariances[2], members.T.cov(), atol=1e-4)


def test_the_loss_is_cross_entropy_over_the_new_classes(start_pretrained: Any) -> None:
    walk = start_pretrained("slca")
    task = walk.grown(1)
    batch = walk.batch(task)
    logits = walk.method.net(batch.x).logits[:, 5:]
    expected = torch.nn.functional.cross_entropy(logits, batch.y - 5)
    found = walk.method.losses(batch, walk.step(task))["classification"]
    assert found.item() == pytest.approx(expected.item(), rel=1e-5)
