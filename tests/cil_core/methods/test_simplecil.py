"""SimpleCIL: class means as a classifier."""

from __future__ import annotations

from typing import Any

import pytest
import torch
import torch.nn.functional as F

from cil_core.learning.prototypes import mean_features


def test_the_first_task_is_cross_entropy_on_scaled_cosines(start: Any) -> None:
    walk = start("simplecil")
    task = walk.grown(0)
    batch = walk.batch(task)
    walk.method.net.eval()
    outputs = walk.method.net(batch.x)
    cosines = F.normalize(outputs.features, dim=1) @ F.normalize(walk.method.net.head.weight, dim=1).T
    expected = F.cross_entropy(walk.method.net.head.scale * cosines, batch.y)
    assert walk.method.losses(batch, walk.step(task))["classification"].item() == pytest.approx(
        expected.item(), rel=1e-5
    )


def test_features_have_both_signs(start: Any) -> None:
    walk = start("simplecil")
    assert walk.finish(0).raw_features(walk.task(0).train).min() < 0


def test_every_row_is_the_mean_feature_of_its_class_the_first_tasks_included(start: Any) -> None:
    walk = start("simplecil")
    for index in range(3):
        walk.finish(index)
    head = walk.method.net.head
    for index, (low, high) in enumerate(((0, 4), (4, 7), (7, 10))):
        train = walk.task(index).train
        features = walk.method.raw_features(train)
        assert torch.allclose(
            head.weight[low:high],
            torch.stack([features[train.labels == label].mean(dim=0) for label in range(low, high)]),
            atol=1e-5,
        )


def test_after_the_first_task_nothing_is_trained_and_nothing_but_the_head_changes(
    start: Any, differing: Any
) -> None:
    walk = start("simplecil")
    walk.finish(0)
    before = walk.state()
    task = walk.task(1)
    walk.method.grow(task)
    assert list(walk.method.learn(task)) == []
    walk.method.consolidate(task)
    assert not any(parameter.requires_grad for parameter in walk.method.parameters())
    after = walk.state()
    assert (
        differing(
            {**before, "net.head.weight": after["net.head.weight"][:4]},
            {**after, "net.head.weight": before["net.head.weight"]},
        )
        == set()
    )


def test_the_head_does_not_depend_on_how_classes_are_split_into_tasks(start: Any) -> None:
    """The same extractor, then 6 classes in two tasks or in six."""
    heads = []
    for track in ("digits-b4-inc3-m60-convnet", "digits-b4-inc1-m60-convnet"):
        walk = start("simplecil", track=track)
        for index in range(len(walk.stream)):
            walk.finish(index)
        heads.append(walk.method.net.head.weight)
    assert torch.allclose(heads[0], heads[1], atol=1e-5)


def test_the_length_of_a_row_does_not_matter(start: Any) -> None:
    walk = start("simplecil")
    method = walk.finish(0)
    x = method.transform.plain(walk.task(0).train.images[:20])
    with torch.no_grad():
        before = method.net(x).logits
        method.net.head.weight *= torch.tensor([0.5, 3, 20, 1])[:, None]
        assert torch.allclose(method.net(x).logits, before, atol=1e-5)


def test_means_are_of_features_that_are_not_normalised(start: Any) -> None:
    walk = start("simplecil")
    method, train = walk.finish(0), walk.task(0).train
    raw = mean_features(method.raw_features(train), train.labels, 0, 4)
    unit = mean_features(method.unit_features(train), train.labels, 0, 4)
    assert torch.equal(method.net.head.weight, raw)
    assert F.cosine_similarity(raw, unit).max() < 1
