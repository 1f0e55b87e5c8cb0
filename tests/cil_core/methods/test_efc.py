"""EFC and EFC++: rotations first, then a penalty, draws of old classes and moved Gaussians."""

from __future__ import annotations

from typing import Any

import pytest
import torch
import torch.nn.functional as F

from cil_core.engine.footprint import measure
from cil_core.learning.elastic import elastic_drift, feature_matrix
from cil_core.learning.feature_pairs import feature_pairs
from cil_core.spec.recipes import EFCRecipe


def first_phase(walk: Any, index: int) -> Any:
    task = walk.grown(index)
    return task, next(iter(walk.phases(task)))


def test_the_first_task_classifies_turns_as_three_more_rows_per_class(start: Any) -> None:
    walk = start("efc")
    task, phase = first_phase(walk, 0)
    method, batch = walk.method, walk.batch(task, 6)
    method.net.eval()
    loss = phase.loss(batch, walk.step(task))["classification"].item()
    features = method.net.features(torch.cat([batch.x.rot90(turn, dims=(2, 3)) for turn in range(4)]))
    turned = phase.loss.args[0]
    turns = features @ turned.weight.T + turned.bias
    logits = torch.cat([features @ method.net.head.weight.T, turns], dim=1)
    labels = torch.cat([batch.y, 4 + 3 * batch.y, 4 + 3 * batch.y + 1, 4 + 3 * batch.y + 2])
    assert logits.shape == (24, 16)
    assert loss == pytest.approx(F.cross_entropy(logits, labels).item(), rel=1e-5)


def test_rows_of_turns_are_trained_and_then_dropped(start: Any) -> None:
    walk = start("efc")
    task = walk.grown(0)
    for phase in walk.phases(task):
        turns = phase.loss.args[0]
        before = turns.weight.detach().clone()
        assert phase.name == "fit"
    assert not torch.equal(turns.weight, before)
    assert not any("turns" in name for name in walk.method.state_dict())


def test_without_rotation_the_first_task_is_plain(start: Any) -> None:
    walk = start("efc", rotation=False)
    task, phase = first_phase(walk, 0)
    method, batch = walk.method, walk.batch(task)
    method.net.eval()
    expected = F.cross_entropy(method.net(batch.x).logits, batch.y).item()
    assert phase.loss(batch, walk.step(task))["classification"].item() == pytest.approx(expected)


def test_later_tasks_penalise_movement_and_rehearse_over_all_classes(start: Any) -> None:
    walk = start("efc")
    task, phase = first_phase(walk, 1)
    method, batch = walk.method, walk.batch(task)
    with torch.no_grad():
        method.net.backbone.trunk[1].conv.weight.mul_(1.1)
    losses = phase.loss(batch, walk.step(task))
    outputs = method.net(batch.x)
    moved = outputs.features - method.teacher.features(batch.x)
    metric = 10 * method.matrix + 0.1 * torch.eye(64)
    expected = torch.einsum("bd,de,be->b", moved, metric, moved).mean().item()
    assert losses["penalty"].item() == pytest.approx(expected, rel=1e-3)
    assert losses["classification"].item() == pytest.approx(
        F.cross_entropy(outputs.logits[:, 4:], batch.y - 4).item(), rel=1e-5
    )
    logits, labels = method.mixed_batch(walk.step(task))
    assert logits.shape == (32, 7)
    assert bool((labels < 4).all())  # a first step has no earlier batch
    assert losses["rehearsal"].item() == pytest.approx(F.cross_entropy(logits, labels).item(), rel=1e-5)


def test_right_after_growth_the_penalty_is_zero(start: Any) -> None:
    walk = start("efc")
    task, phase = first_phase(walk, 1)
    assert phase.loss(walk.batch(task), walk.step(task))["penalty"].item() == pytest.approx(0, abs=1e-6)


def test_images_of_the_last_batch_join_the_draws(start: Any) -> None:
    walk = start("efc")
    task, phase = first_phase(walk, 1)
    batch = walk.batch(task, 32)
    phase.after_step(batch, walk.step(task))
    logits, labels = walk.method.mixed_batch(walk.step(task, index=3))
    assert len(labels) == 32
    assert bool((labels >= 4).any())
    assert bool((labels < 4).any())
    new = labels >= 4
    assert set(labels[new].tolist()) <= set(batch.y.tolist())
    assert logits.requires_grad


def test_batch_norm_is_fixed_after_the_first_task(start: Any) -> None:
    walk = start("efc")
    walk.finish(0)
    norms = {name for name in walk.state() if "norm" in name and name.startswith("net.")}
    assert any("running_mean" in name for name in norms)
    before = walk.state()
    walk.finish(1)
    after = walk.state()
    assert all(torch.equal(before[name], after[name]) for name in norms)
    assert not torch.equal(
        before["net.backbone.trunk.1.conv.weight"], after["net.backbone.trunk.1.conv.weight"]
    )


@pytest.mark.parametrize("rehearsal", ["during", "after"])
def test_means_of_old_classes_move_by_the_elastic_drift_and_covariances_stay(
    start: Any, rehearsal: str
) -> None:
    walk = start("efc", rehearsal=rehearsal)
    method = walk.finish(0)
    means, spreads, matrix = method.gaussians.means, method.gaussians.covariances, method.matrix
    old = method.old_net
    walk.finish(1)
    pairs = feature_pairs(old, method.net, walk.task(1).train)
    expected = means + elastic_drift(pairs, means, matrix, 0.2).float()
    assert torch.allclose(method.gaussians.means[:4], expected, atol=1e-4)
    assert torch.equal(method.gaussians.covariances[:4], spreads)
    assert method.gaussians.means.shape == (7, 64)


def test_the_matrix_is_that_of_the_new_network_over_all_its_rows(start: Any) -> None:
    walk = start("efc")
    walk.finish(0)
    method, train = walk.finish(1), walk.task(1).train
    order = torch.randperm(len(train), generator=torch.Generator().manual_seed(0))
    features = method.raw_features(train.select(order))
    expected = feature_matrix(features, method.net.head.weight)
    assert torch.allclose(method.matrix.double(), expected, atol=1e-5)


def test_efc_plus_plus_leaves_old_rows_alone_and_then_trains_all_rows(start: Any) -> None:
    walk = start("efc", rehearsal="after")
    task = walk.grown(1)
    method = walk.method
    old = method.net.head.weight.detach()[:4].clone()
    backbone = None
    for phase in walk.phases(task):
        if phase.name == "balance":
            assert torch.equal(method.net.head.weight[:4], old)
            backbone = method.net.backbone.trunk[1].conv.weight.detach().clone()
            assert set(phase.loss(next(phase.data.batches(8)), walk.step(task))) == {"balance"}
    assert not torch.equal(method.net.head.weight[:4], old)
    assert backbone is not None
    assert torch.equal(method.net.backbone.trunk[1].conv.weight, backbone)


def test_without_penalty_and_draws_it_is_training_on_the_new_rows(start: Any) -> None:
    walk = start("efc", weight=0.0, damping=0.0, rehearsal="after")
    task, phase = first_phase(walk, 1)
    losses = phase.loss(walk.batch(task), walk.step(task))
    assert losses.keys() == {"classification", "penalty"}
    assert losses["penalty"].item() == 0


def test_what_is_kept_is_the_matrix_and_a_gaussian_per_class(start: Any) -> None:
    method = start("efc").finish(0)
    network = sum(value.numel() * value.element_size() for value in method.net.state_dict().values())
    assert measure(method).kept_bytes == network + 4 * (64 * 64 + 4 * (64 + 64 * 64))


def test_the_preset_for_imagenet_slows_the_backbone_in_later_tasks(start: Any) -> None:
    recipe = EFCRecipe.from_preset("imagenet")
    assert (recipe.later_tasks.lr, recipe.backbone_factor) == (1e-4, 0.1)
    walk = start("efc", backbone_factor=0.1)
    _, phase = first_phase(walk, 1)
    assert [group.lr_factor for group in phase.groups] == [0.1]


@pytest.mark.parametrize("track", ["digits-b2-inc8-m60-convnet", "digits-b2-inc1-m60-convnet"])
def test_unequal_tasks_are_learnt(start: Any, track: str) -> None:
    method = start("efc", track=track)
    method.finish(0)
    assert method.finish(1).gaussians.means.isfinite().all()
