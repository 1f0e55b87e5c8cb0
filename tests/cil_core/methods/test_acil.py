"""ACIL: equal to one ridge regression on everything, on a frozen backbone."""

from __future__ import annotations

from typing import Any

import pytest
import torch
import torch.nn.functional as F

from cil_core.engine.footprint import measure
from cil_core.nets.analytic import AnalyticHead
from cil_core.nets.heads import LinearHead

SMALL = {"expansion": 200, "ridge": 0.5}


def joint_solution(walk: Any, tasks: int) -> torch.Tensor:
    """(XᵀX + γI)⁻¹ XᵀY over the data of all tasks, at once."""
    train = [walk.task(index).train for index in range(tasks)]
    features = torch.cat([walk.method.raw_features(data) for data in train]).double()
    labels = torch.cat([data.labels for data in train])
    x = F.relu(features @ walk.method.net.head.projection.T)
    return torch.linalg.solve(
        x.T @ x + 0.5 * torch.eye(200, dtype=torch.float64), x.T @ F.one_hot(labels).double()
    ).T


@pytest.mark.parametrize("track", ["digits-b4-inc3-m60-convnet", "digits-b2-inc1-m60-convnet"])
@pytest.mark.parametrize("batch", [17, 4096])
def test_after_every_task_the_head_is_the_joint_solution(start: Any, track: str, batch: int) -> None:
    walk = start("acil", track=track, analytic_batch=batch, **SMALL)
    for index in range(len(walk.stream)):
        walk.finish(index)
        expected = joint_solution(walk, index + 1)
        assert walk.method.net.head.weight.shape == expected.shape
        assert (walk.method.net.head.weight - expected).abs().max() < 1e-9 * expected.abs().max()


def test_an_ordinary_head_without_bias_trains_the_backbone_first(start: Any) -> None:
    walk = start("acil", **SMALL)
    task = walk.grown(0)
    assert isinstance(walk.method.net.head, LinearHead)
    assert walk.method.net.head.bias is None
    for phase in walk.phases(task):
        assert phase.name == "fit"
    walk.method.consolidate(task)
    assert isinstance(walk.method.net.head, AnalyticHead)
    assert walk.method.net.classes == 4


def test_backbone_and_projection_are_bit_identical_after_the_first_task(start: Any, differing: Any) -> None:
    walk = start("acil", **SMALL)
    walk.finish(0)
    fixed = {
        name: value
        for name, value in walk.state().items()
        if name.startswith("net.backbone.") or name == "net.head.projection"
    }
    walk.finish(1)
    now = walk.state()
    assert differing(fixed, {name: now[name] for name in fixed}) == set()


def test_later_tasks_train_nothing(start: Any) -> None:
    walk = start("acil", **SMALL)
    assert list(walk.method.learn(walk.grown(1))) == []
    assert not any(parameter.requires_grad for parameter in walk.method.net.parameters())


def test_the_inverse_is_charged(start: Any) -> None:
    """D² numbers of 8 bytes, with D · d for the projection and n · D for the weights."""
    walk = start("acil", **SMALL)
    method = walk.finish(0)
    backbone = sum(
        value.numel() * value.element_size() for value in method.net.backbone.state_dict().values()
    )
    assert measure(method).kept_bytes == backbone + 8 * (200 * 200 + 200 * 64 + 4 * 200)


def test_scores_are_the_expanded_features_times_the_weights(start: Any) -> None:
    walk = start("acil", **SMALL)
    method, train = walk.finish(0), walk.task(0).train
    outputs = method.net(method.transform.plain(train.images[:30]))
    head = method.net.head
    assert torch.allclose(
        outputs.logits, F.relu(outputs.features.double() @ head.projection.T) @ head.weight.T
    )
    assert (outputs.logits.argmax(dim=1) == train.labels[:30]).float().mean() > 0.9


def test_with_pretrained_weights_nothing_trains_and_the_first_task_is_absorbed(
    start: Any, differing: Any
) -> None:
    walk = start("acil", **SMALL).with_weights()
    before = {name: value for name, value in walk.state().items() if name.startswith("net.backbone.")}
    for index in range(2):
        assert list(walk.method.learn(walk.task(index))) == []
        walk.finish(index)
    expected = joint_solution(walk, 2)
    assert (walk.method.net.head.weight - expected).abs().max() < 1e-9 * expected.abs().max()
    now = walk.state()
    assert differing(before, {name: now[name] for name in before}) == set()
