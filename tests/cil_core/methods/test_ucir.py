"""UCIR: imprinted new rows, frozen old ones, and the weights of its three terms."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
import torch.nn.functional as F


def test_the_first_task_is_cross_entropy_of_scaled_cosines(start: Any) -> None:
    walk = start("ucir")
    task = walk.grown(0)
    batch, net = walk.batch(task), walk.method.net.eval()
    losses = walk.method.losses(batch, walk.step(task))
    cosines = F.normalize(net.features(batch.x), dim=1) @ F.normalize(net.head.new, dim=1).T
    assert losses.keys() == {"classification"}
    assert losses["classification"].item() == pytest.approx(
        F.cross_entropy(net.head.scale * cosines, batch.y).item(), rel=1e-5
    )


def test_new_rows_are_the_mean_directions_of_their_classes(start: Any) -> None:
    walk = start("ucir")
    walk.finish(0)
    before = walk.method.net.head.new.detach().clone()
    features = walk.method.unit_features(walk.task(1).train)
    walk.method.grow(walk.task(1))
    head = walk.method.net.head
    assert torch.equal(head.old, before)
    assert torch.allclose(head.new.norm(dim=1), before.norm(dim=1).mean().expand(3), rtol=1e-5)
    for row, label in zip(head.new, (4, 5, 6), strict=True):
        mean = features[walk.task(1).train.labels == label].mean(dim=0)
        assert F.cosine_similarity(row, mean, dim=0).item() == pytest.approx(1, abs=1e-5)


def test_old_rows_stay_bit_identical_while_the_rest_learns(start: Any, differing: Any) -> None:
    walk = start("ucir")
    task = walk.grown(1)
    before = walk.state()
    for _ in walk.phases(task):
        pass
    changed = differing(before, walk.state())
    assert "net.head.old" not in changed
    assert {"net.head.new", "net.head.scale"} <= changed
    assert not any(name.startswith("teacher.") for name in changed)


@pytest.mark.parametrize(
    ("track", "ratio"), [("digits-b8-inc2-m60-convnet", 8 / 2), ("digits-b4-inc3-m60-convnet", 4 / 3)]
)
def test_features_are_distilled_with_the_root_of_old_over_new(start: Any, track: str, ratio: float) -> None:
    walk = start("ucir", track)
    task = walk.grown(1)
    walk.method.net.eval()
    with torch.no_grad():
        for parameter in walk.method.net.backbone.parameters():
            parameter.mul_(1.01)
    batch = walk.batch(task)
    angle = 1 - F.cosine_similarity(
        walk.method.net.features(batch.x), walk.method.teacher.features(batch.x), dim=1
    )
    losses = walk.method.losses(batch, walk.step(task))
    assert losses["distillation"].item() == pytest.approx(
        5 * math.sqrt(ratio) * angle.mean().item(), rel=1e-3
    )


def test_the_margin_uses_cosines_before_the_scale(start: Any) -> None:
    walk = start("ucir")
    task = walk.grown(1)
    net, batch = walk.method.net.eval(), walk.batch(task, images=200)
    cosines = net.head.similarities(net.features(batch.x)).detach()
    terms = [
        max(0.0, 0.5 - float(row[label]) + float(rival))
        for row, label in zip(cosines, batch.y.tolist(), strict=True)
        if label < 4
        for rival in row[4:].sort(descending=True).values[:2]
    ]
    assert len(terms) > 10
    assert net.head.scale != 1
    assert walk.method.losses(batch, walk.step(task))["margin"].item() == pytest.approx(
        sum(terms) / len(terms), rel=1e-4
    )


def test_cosines_stay_within_one(start: Any) -> None:
    walk = start("ucir")
    task = walk.grown(1)
    net = walk.method.net.eval()
    assert net.head.similarities(net.features(walk.batch(task).x)).abs().max() <= 1 + 1e-6
