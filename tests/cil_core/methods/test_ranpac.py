"""RanPAC: joint ridge regression on a random expansion of frozen features."""

from __future__ import annotations

from typing import Any

import pytest
import torch
import torch.nn.functional as F

from cil_core.engine.footprint import measure
from cil_core.nets.analytic import AnalyticHead
from cil_core.nets.heads import LinearHead
from cil_core.nets.ridge import best_ridge

SMALL = {"expansion": 150}


@pytest.mark.parametrize("track", ["digits-b4-inc3-m0-convnet", "digits-b5-inc1-m0-convnet"])
def test_after_every_task_the_head_is_the_joint_solution(start: Any, track: str) -> None:
    walk = start("ranpac", track=track, ridge=0.5, **SMALL).with_weights()
    for index in range(len(walk.stream)):
        method = walk.finish(index)
        train = [walk.task(earlier).train for earlier in range(index + 1)]
        x = method.net.head.expanded(torch.cat([method.raw_features(data) for data in train]))
        y = F.one_hot(torch.cat([data.labels for data in train])).double()
        expected = torch.linalg.solve(x.T @ x + 0.5 * torch.eye(150, dtype=torch.float64), x.T @ y).T
        assert (method.net.head.weight - expected).abs().max() < 1e-10 * expected.abs().max()
        assert method.diagnostics["ridge"] == 0.5


def test_the_ridge_is_chosen_on_the_current_task_alone(start: Any) -> None:
    walk = start("ranpac", **SMALL).with_weights()
    walk.finish(0)
    method, train = walk.finish(1), walk.task(1).train
    x = method.net.head.expanded(method.raw_features(train))
    y = F.one_hot(train.labels - 4).double()
    assert method.diagnostics["ridge"] == best_ridge(x, y, walk.randomness.on_cpu("ridge", 1))


def test_with_pretrained_weights_nothing_ever_changes_the_backbone(start: Any, differing: Any) -> None:
    walk = start("ranpac", **SMALL).with_weights()
    before = {name: value for name, value in walk.state().items() if name.startswith("net.backbone.")}
    for index in range(3):
        assert list(walk.method.learn(walk.task(index))) == []
        walk.finish(index)
    now = walk.state()
    assert differing(before, {name: now[name] for name in before}) == set()


def test_without_weights_the_backbone_trains_on_the_first_task_only(start: Any, differing: Any) -> None:
    walk = start("ranpac", **SMALL)
    task = walk.grown(0)
    assert [phase.name for phase in walk.phases(task)] == ["fit"]
    walk.method.consolidate(task)
    before = {name: value for name, value in walk.state().items() if name.startswith("net.backbone.")}
    walk.finish(1)
    now = walk.state()
    assert differing(before, {name: now[name] for name in before}) == set()
    assert not any(parameter.requires_grad for parameter in walk.method.net.parameters())


def test_with_the_same_projection_and_ridge_it_is_acil(start: Any) -> None:
    ours, theirs = (start(name, expansion=150, ridge=0.1).with_weights() for name in ("ranpac", "acil"))
    for walk in (ours, theirs):
        walk.method.grow(walk.task(0))
    analytic: AnalyticHead = theirs.method.computed_head
    ours.method.computed_head.projection.data.copy_(analytic.projection)
    for walk in (ours, theirs):
        walk.method.consolidate(walk.task(0))
        walk.finish(1)
    assert (ours.method.net.head.weight - theirs.method.net.head.weight).abs().max() < 1e-9


def test_without_a_projection_it_is_ridge_regression_on_the_features(start: Any) -> None:
    walk = start("ranpac", expansion=0, ridge=1.0).with_weights()
    method, train = walk.finish(0), walk.task(0).train
    x = method.raw_features(train).double()
    expected = torch.linalg.solve(
        x.T @ x + torch.eye(64, dtype=torch.float64), x.T @ F.one_hot(train.labels).double()
    )
    assert torch.allclose(method.net(method.transform.plain(train.images[:9])).logits, x[:9] @ expected)


def test_sums_and_projection_are_charged(start: Any) -> None:
    """M² + M · n for the sums, M · d for the projection, M · n for the weights: 8 bytes each."""
    method = start("ranpac", **SMALL).with_weights().finish(0)
    backbone = sum(
        value.numel() * value.element_size() for value in method.net.backbone.state_dict().values()
    )
    assert measure(method).kept_bytes == backbone + 8 * (150 * 150 + 150 * 4 + 150 * 64 + 150 * 4)


def test_logits_of_an_image_do_not_depend_on_its_batch(start: Any) -> None:
    walk = start("ranpac", **SMALL).with_weights()
    method = walk.finish(0)
    x = method.transform.plain(walk.task(0).train.images[:20])
    alone = torch.cat([method.net(image).logits for image in x.split(1)])
    assert torch.allclose(method.net(x).logits, alone, atol=1e-5)
    assert torch.allclose(method.net(x.flip(0)).logits.flip(0), alone, atol=1e-5)


def test_the_backbone_trains_with_the_common_linear_head(start: Any) -> None:
    method = start("ranpac").method
    assert isinstance(method.net.head, LinearHead)
    assert method.net.head.bias is not None
