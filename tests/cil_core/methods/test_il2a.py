"""IL2A: mixed classes during a task, spread prototypes of old classes."""

from __future__ import annotations

from typing import Any

import pytest
import torch
import torch.nn.functional as F

from cil_core.engine.footprint import measure
from cil_core.learning.dual_augmentation import spread_logits


def first_phase(walk: Any, index: int) -> Any:
    task = walk.grown(index)
    return task, next(iter(walk.phases(task)))


def test_without_mixtures_the_first_task_is_cross_entropy_over_classes_and_pairs(start: Any) -> None:
    walk = start("il2a", rounds=0)
    task, phase = first_phase(walk, 0)
    method, batch = walk.method, walk.batch(task)
    method.net.eval()
    pairs = phase.loss.args[0]
    features = method.net.features(batch.x)
    logits = torch.cat([method.net.head(features), features @ pairs.weight.T + pairs.bias], dim=1)
    assert logits.shape == (24, 4 + 6)
    losses = phase.loss(batch, walk.step(task))
    assert losses.keys() == {"classification"}
    assert losses["classification"].item() == pytest.approx(
        F.cross_entropy(logits / 0.1, batch.y).item(), rel=1e-5
    )


def test_rows_of_pairs_are_dropped_and_drawn_again(start: Any) -> None:
    walk = start("il2a")
    rows = []
    for index in (0, 1, 2):
        task = walk.grown(index) if index == 0 else walk.task(index)
        if index:
            walk.method.finish_task()
            walk.method.grow(task)
        rows.extend(phase.loss.args[0].classes for phase in walk.phases(task))
        walk.method.consolidate(task)
        assert walk.method.net.head.classes == task.seen
    assert rows == [6, 3, 3]


def test_later_tasks_distil_images_and_mixtures_and_rehearse_spread_prototypes(start: Any) -> None:
    walk = start("il2a", rounds=0)
    task, phase = first_phase(walk, 1)
    method, batch = walk.method, walk.batch(task)
    method.net.eval()
    with torch.no_grad():
        method.net.backbone.trunk[1].conv.weight.mul_(1.1)
    losses = phase.loss(batch, walk.step(task))
    moved = method.net.features(batch.x) - method.teacher.features(batch.x)
    assert losses["distillation"].item() == pytest.approx(10 * moved.norm().item(), rel=1e-4)
    labels, head = torch.tensor([3, 1]), method.net.head
    means, spread = method.gaussians.means, method.gaussians.covariances
    logits = spread_logits(head(means[labels]), labels, head.weight, spread, 2.5)
    assert logits.shape == (2, 7)
    assert method.prototype_loss(labels).item() == pytest.approx(
        F.cross_entropy(logits / 0.1, labels).item(), rel=1e-5
    )
    assert 0 < losses["prototypes"].item() < float("inf")


def test_covariances_belong_to_their_class_after_three_tasks(start: Any) -> None:
    walk = start("il2a")
    for index in (0, 1, 2):
        method, train = walk.finish(index), walk.task(index).train
        features = method.raw_features(train)
        for label in train.labels.unique().tolist():
            expected = torch.cov(features[train.labels == label].T)
            assert torch.allclose(method.gaussians.covariances[label], expected, rtol=1e-3, atol=1e-5)
    assert method.gaussians.covariances.shape == (10, 64, 64)


def test_one_new_class_has_no_pairs(start: Any) -> None:
    walk = start("il2a", track="digits-b2-inc1-m60-convnet")
    task, phase = first_phase(walk, 1)
    losses = phase.loss(walk.batch(task), walk.step(task))
    assert phase.loss.args[0].classes == 0
    assert all(bool(value.isfinite()) for value in losses.values())


def test_a_gaussian_per_class_is_kept(start: Any) -> None:
    method = start("il2a").finish(0)
    network = sum(value.numel() * value.element_size() for value in method.net.state_dict().values())
    assert measure(method).kept_bytes == network + 4 * 4 * (64 + 64 * 64)
