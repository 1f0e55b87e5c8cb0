"""GKEAL: ridge regression on similarities to features of the first task."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F

from cil_core.engine.footprint import measure


def test_centres_are_different_features_of_the_whole_first_task(start: Any) -> None:
    walk = start("gkeal", centres=50).with_weights()
    method = walk.finish(0)
    features = method.raw_features(walk.task(0).train).double()
    nearest = torch.cdist(method.net.head.centres, features).min(dim=1)
    assert float(nearest.values.max()) < 1e-4
    assert len(set(nearest.indices.tolist())) == 50
    assert int(nearest.indices.max()) >= len(features) // 2


def test_there_are_no_more_centres_than_images_of_the_first_task(start: Any) -> None:
    walk = start("gkeal", centres=8192).with_weights()
    method = walk.finish(0)
    assert len(method.net.head.centres) == len(walk.task(0).train)


def test_later_tasks_place_no_centre(start: Any) -> None:
    walk = start("gkeal", centres=50).with_weights()
    centres = walk.finish(0).net.head.centres.clone()
    assert torch.equal(walk.finish(1).net.head.centres, centres)


def test_the_split_into_later_tasks_does_not_matter(start: Any) -> None:
    heads = []
    for track in ("digits-b4-inc3-m0-convnet", "digits-b4-inc1-m0-convnet"):
        walk = start("gkeal", track=track, centres=40, analytic_batch=60).with_weights()
        for index in range(len(walk.stream)):
            walk.finish(index)
        heads.append(walk.method.net.head)
    assert (heads[0].weight - heads[1].weight).abs().max() < 1e-6 * heads[0].weight.abs().max()


def test_the_head_is_the_joint_regression_on_similarities(start: Any) -> None:
    walk = start("gkeal", centres=40, sigma=2.0, ridge=0.5).with_weights()
    for index in (0, 1):
        method = walk.finish(index)
    train = [walk.task(index).train for index in (0, 1)]
    features = torch.cat([method.raw_features(data) for data in train]).double()
    x = (-(features[:, None] - method.net.head.centres).square().sum(dim=2) / 8).exp()
    y = F.one_hot(torch.cat([data.labels for data in train])).double()
    expected = torch.linalg.solve(x.T @ x + 0.5 * torch.eye(40, dtype=torch.float64), x.T @ y).T
    assert torch.allclose(method.net.head.weight, expected, rtol=1e-4, atol=1e-6)


def test_without_a_given_width_the_kernel_takes_the_median_distance(start: Any) -> None:
    walk = start("gkeal", sigma=None, centres=50).with_weights()
    method = walk.finish(0)
    features = method.raw_features(walk.task(0).train)
    distances = torch.pdist(features)
    median = float(method.net.head.sigma)
    assert method.diagnostics["sigma"] == median
    assert float(distances.quantile(0.4)) < median < float(distances.quantile(0.6))
    assert float(start("gkeal", sigma=3.0, centres=50).with_weights().finish(0).net.head.sigma) == 3


def test_centres_and_the_inverse_are_charged(start: Any) -> None:
    method = start("gkeal", centres=50).with_weights().finish(0)
    backbone = sum(
        value.numel() * value.element_size() for value in method.net.backbone.state_dict().values()
    )
    assert measure(method).kept_bytes == backbone + 8 * (50 * 50 + 50 * 64 + 50 * 4 + 1)


def test_only_the_first_task_trains_the_backbone(start: Any) -> None:
    walk = start("gkeal", centres=50)
    assert [phase.name for phase in walk.method.learn(walk.task(0))] == ["fit"]
    assert list(walk.method.learn(walk.task(1))) == []
