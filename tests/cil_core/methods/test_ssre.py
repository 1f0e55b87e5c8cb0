"""SSRE: branches in later tasks, selection by likeness, fixed prototypes."""

from __future__ import annotations

from typing import Any

import pytest
import torch
import torch.nn.functional as F

from cil_core.learning.selection_weights import likeness
from cil_core.nets.branches import fold_branches
from cil_core.spec.catalog import BACKBONES, DATASETS
from cil_core.spec.errors import InvalidSpec
from cil_core.spec.recipes import SSRERecipe


def first_phase(walk: Any, index: int) -> Any:
    task = walk.grown(index)
    return task, next(iter(walk.phases(task)))


def test_the_first_task_is_cross_entropy_with_temperature(start: Any) -> None:
    walk = start("ssre")
    task, phase = first_phase(walk, 0)
    method, batch = walk.method, walk.batch(task)
    method.net.eval()
    losses = phase.loss(batch, walk.step(task))
    expected = F.cross_entropy(method.net(batch.x).logits / 0.1, batch.y).item()
    assert losses["classification"].item() == pytest.approx(expected, rel=1e-5)
    assert losses.keys() == {"classification"}


def test_later_tasks_weigh_classification_and_distillation_by_likeness(start: Any) -> None:
    walk = start("ssre")
    task, phase = first_phase(walk, 1)
    method, batch = walk.method, walk.batch(task)
    with torch.no_grad():
        phase.params[1].add_(0.05)
    losses = phase.loss(batch, walk.step(task))
    outputs = method.net(batch.x)
    like = likeness(outputs.features, method.means)
    each = F.cross_entropy(outputs.logits / 0.1, batch.y, reduction="none")
    distance = (outputs.features - method.teacher.features(batch.x)).norm(dim=1)
    assert distance.max() > 1e-3
    assert losses["classification"].item() == pytest.approx(((1 - like) * each).mean().item(), rel=1e-4)
    assert losses["distillation"].item() == pytest.approx((like * distance).sum().item(), rel=1e-3)
    head = method.net.head
    own = F.cross_entropy(head(method.means) / 0.1, torch.arange(4), reduction="none")
    assert 10 * own.min() <= losses["prototypes"] <= 10 * own.max()


def test_only_branches_and_head_change_in_later_tasks(start: Any) -> None:
    walk = start("ssre")
    task = walk.grown(1)
    backbone = walk.method.net.backbone
    for phase in walk.phases(task):
        before = {
            name: value.clone() for name, value in backbone.state_dict().items() if "kernel" not in name
        }
        kernels = phase.params[:-2]
        assert all(bool((kernel == 0).all()) for kernel in kernels)
    after = backbone.state_dict()
    changed = {name for name, value in before.items() if "original" in name}
    assert changed
    for name, value in before.items():
        folded = after[name.replace("parametrizations.weight.original", "weight")]
        if name in changed:
            difference = folded - value
            assert bool((difference[:, :, 1, 1] != 0).any())
            difference[:, :, 1, 1] = 0
            assert bool((difference == 0).all())
        else:
            assert torch.equal(folded, value)


def test_folding_keeps_the_function(start: Any) -> None:
    walk = start("ssre")
    task = walk.grown(1)
    method, x = walk.method, walk.batch(task).x
    phases = walk.phases(task)
    phase = next(phases)
    with torch.no_grad():
        for kernel in phase.params[:-2]:
            kernel.add_(0.01)
    unfolded = method.net.features(x)
    fold_branches(method.net.backbone)
    assert torch.equal(method.net.features(x), unfolded)
    assert not any("kernel" in name for name in method.state_dict())


def test_prototypes_are_mean_features_and_do_not_move(start: Any) -> None:
    walk = start("ssre")
    method, train = walk.finish(0), walk.task(0).train
    features = method.raw_features(train)
    before = method.means.clone()
    expected = torch.stack([features[train.labels == label].mean(dim=0) for label in range(4)])
    assert torch.allclose(before, expected, atol=1e-5)
    assert torch.equal(walk.finish(1).means[:4], before)


@pytest.mark.parametrize("through", [False, True])
def test_gradients_flow_through_the_likeness_on_request(start: Any, through: bool) -> None:
    walk = start("ssre", through_weight=through, distillation_weight=0.0, prototype_weight=0.0)
    task, phase = first_phase(walk, 1)
    method, batch = walk.method, walk.batch(task)
    kernel = phase.params[1]
    (found,) = torch.autograd.grad(phase.loss(batch, walk.step(task))["classification"], kernel)
    outputs = method.net(batch.x)
    each = F.cross_entropy(outputs.logits / 0.1, batch.y, reduction="none")
    like = likeness(outputs.features, method.means).detach()
    (detached,) = torch.autograd.grad(((1 - like) * each).mean(), kernel)
    assert torch.allclose(found, detached, rtol=1e-3, atol=1e-7) != through


def test_the_second_curve_is_the_nearest_prototype_by_angle(start: Any) -> None:
    walk = start("ssre")
    method = walk.finish(0)
    x = method.transform.plain(walk.task(0).train.images[:30])
    outputs = method.net(x)
    scores = method.classifier("prototype").prepare(method)(x, outputs)
    distances = torch.cdist(F.normalize(outputs.features, dim=1), F.normalize(method.means, dim=1))
    assert torch.equal(scores.argmax(dim=1), distances.argmin(dim=1))


def test_a_backbone_without_convolutions_is_refused() -> None:
    recipe = SSRERecipe.published()
    with pytest.raises(InvalidSpec, match="need 3 × 3 convolutions; vit_b16 has none"):
        recipe.check_track(DATASETS["cifar100"], BACKBONES["vit_b16"])
    recipe.check_track(DATASETS["cifar100"], BACKBONES["resnet18"])
