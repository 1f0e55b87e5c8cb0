"""EASE: a subspace per task, real class means where images exist, synthesised ones elsewhere."""

from __future__ import annotations

from typing import Any

import pytest
import torch
import torch.nn.functional as F

WIDTH = 32
BOUNDS = ((0, 5), (5, 8), (8, 10))


def finished(start: Any, tasks: int = 3, **changes: Any) -> Any:
    walk = start("ease", **changes)
    for index in range(tasks):
        walk.finish(index)
    return walk


def test_fresh_adapters_leave_features_bit_equal_to_the_frozen_network(start_pretrained: Any) -> None:
    walk = start_pretrained("ease")
    task = walk.grown(1)
    x = walk.batch(task).x
    walk.method.net.eval()
    assert torch.equal(walk.method.net.newest(x), walk.method.net.embed(x))


def test_a_task_trains_its_adapters_alone(start_pretrained: Any, differing: Any) -> None:
    walk = finished(start_pretrained, 1)
    task = walk.grown_next(1)
    before = walk.state()
    trained = sum(parameter.numel() for parameter in walk.method.parameters() if parameter.requires_grad)
    assert trained == 4 * (2 * WIDTH * 8 + 8 + WIDTH) + 3 * WIDTH + 1
    before.pop("net.head.weight")
    list(walk.phases(task))
    after = walk.state()
    after.pop("net.head.weight")
    names = {f"net.sites.1.{name}" for name in ("down", "down_bias", "up", "up_bias")}
    assert differing(before, after) == names


def test_adapters_of_every_task_are_in_the_state_dict(start_pretrained: Any) -> None:
    state = finished(start_pretrained).state()
    assert {name.split(".")[2] for name in state if name.startswith("net.sites.")} == {"0", "1", "2"}


def test_class_means_are_real_in_the_subspaces_up_to_their_own(start_pretrained: Any) -> None:
    walk = finished(start_pretrained)
    prototypes = walk.method.net.prototypes
    assert prototypes.shape == (10, 3, WIDTH)
    assert (prototypes.abs().sum(dim=2) > 0).all()
    for task, (low, high) in enumerate(BOUNDS):
        train = walk.task(task).train
        features = walk.method.raw_features(train).unflatten(1, (3, WIDTH))
        for label in range(low, high):
            mean = features[train.labels == label].mean(dim=0)
            assert torch.allclose(prototypes[label, : task + 1], mean[: task + 1], atol=1e-5)
            assert not torch.allclose(prototypes[label, task + 1 :], mean[task + 1 :], atol=1e-3) or task == 2


def test_real_class_means_never_change(start_pretrained: Any) -> None:
    walk = start_pretrained("ease")
    first = walk.finish(0).net.prototypes.clone()
    for index in (1, 2):
        walk.finish(index)
    assert torch.equal(walk.method.net.prototypes[:5, 0], first[:, 0])


@pytest.mark.parametrize(("others", "plain"), [(0.0, 0.0), (0.3, 0.0), (0.3, 0.5)])
def test_the_score_is_the_weighted_sum_of_cosines(start_pretrained: Any, others: float, plain: float) -> None:
    walk = finished(start_pretrained, others=others, plain=plain)
    net, x = walk.method.net, walk.batch(walk.task(2), 8).x
    with torch.no_grad():
        scores = net(x).logits
        subspaces = [net.embed(x, adapters) for adapters in net.sites]
        for task, (low, high) in enumerate(BOUNDS):
            for label in range(low, high):
                cosines = [
                    F.cosine_similarity(features, net.prototypes[None, label, index])
                    for index, features in enumerate(subspaces)
                ]
                expected = cosines[task] + others / 2 * (sum(cosines) - cosines[task])
                if plain:
                    plain_cosines = F.cosine_similarity(net.embed(x), net.prototypes[None, label, -1])
                    expected = expected + plain * plain_cosines
                assert torch.allclose(scores[:, label], expected, atol=1e-5)


def test_the_first_task_is_the_tuned_half_of_aper(start_pretrained: Any) -> None:
    """The same adapters, head and schedule: equal losses, hence equal class means."""
    ease, aper = (start_pretrained(name, preset="small") for name in ("ease", "aper"))
    means = ease.finish(0).net.prototypes[:, 0]
    assert torch.allclose(aper.finish(0).net.head.weight[:, WIDTH:], means, atol=1e-4)


def test_one_class_per_task_works(start_pretrained: Any) -> None:
    walk = start_pretrained("ease", track="digits-b8-inc1-m0-vit_8px-holdout50-letters")
    for index in range(3):
        walk.finish(index)
    assert walk.method.net.weights().shape == (10, 3)
