"""PASS: rotations, noisy prototypes and feature distillation."""

from __future__ import annotations

from typing import Any

import pytest
import torch
import torch.nn.functional as F

from cil_core.engine.footprint import measure
from cil_core.nets.rotation import rotated, rotated_labels


def test_the_first_task_is_cross_entropy_over_classes_and_turns(start: Any) -> None:
    walk = start("pass")
    task = walk.grown(0)
    method, batch = walk.method, walk.batch(task)
    method.net.eval()
    losses = method.losses(batch, walk.step(task))
    assert losses.keys() == {"classification"}
    head = method.net.head
    z = method.net.features(rotated(batch.x)) @ head.weight.T + head.bias
    assert z.shape == (96, 16)
    assert losses["classification"].item() == pytest.approx(
        F.cross_entropy(z / 0.1, rotated_labels(batch.y)).item(), rel=1e-5
    )


def test_right_after_growth_distillation_is_zero_with_a_finite_gradient(start: Any) -> None:
    walk = start("pass")
    task = walk.grown(1)
    walk.method.net.eval()
    distillation = walk.method.losses(walk.batch(task), walk.step(task))["distillation"]
    assert distillation.item() == pytest.approx(
        0, abs=1e-3
    )  # the teacher computes with batch normalisation folded away
    gradients = torch.autograd.grad(distillation, list(walk.method.net.backbone.parameters()))
    assert all(torch.isfinite(gradient).all() for gradient in gradients)


def test_distillation_is_ten_times_the_norm_over_the_turned_batch(start: Any) -> None:
    walk = start("pass")
    task = walk.grown(1)
    method, batch = walk.method, walk.batch(task)
    with torch.no_grad():
        method.net.backbone.trunk[1].conv.weight.mul_(1.1)
        method.net.backbone.trunk[1].norm.bias.add_(0.1)
    method.net.eval()
    difference = method.net.features(rotated(batch.x)) - method.teacher.features(rotated(batch.x))
    assert method.losses(batch, walk.step(task))["distillation"].item() == pytest.approx(
        10 * difference.square().sum().sqrt().item(), rel=1e-5
    )


def test_prototypes_are_mean_features_of_unturned_images_when_their_task_was_learnt(start: Any) -> None:
    walk = start("pass")
    method, train = walk.finish(0), walk.task(0).train
    features = method.raw_features(train)
    expected = torch.stack([features[train.labels == label].mean(dim=0) for label in range(4)])
    assert torch.allclose(method.prototypes, expected, atol=1e-5)
    walk.finish(1)
    assert method.prototypes.shape == (7, 64)
    assert torch.allclose(method.prototypes[:4], expected, atol=1e-5)


def test_made_up_features_are_prototypes_of_old_classes_with_noise_of_the_radius(start: Any) -> None:
    walk = start("pass")
    task = walk.grown(1)
    method = walk.method
    features, labels = method.noisy_prototypes(8000, walk.step(task))
    assert labels.unique().tolist() == [0, 4, 8, 12]
    noise = features - method.prototypes[labels // 4]
    assert noise.std().item() == pytest.approx(method.radius().item(), rel=0.01)
    assert noise.mean().abs() < 0.01 * method.radius()
    assert (labels.bincount()[::4] / 8000 - 0.25).abs().max() < 0.03


def test_every_step_draws_other_noise(start: Any) -> None:
    walk = start("pass")
    task = walk.grown(1)
    first, second, again = (
        walk.method.noisy_prototypes(5, walk.step(task, index=index))[0] for index in (0, 1, 0)
    )
    assert torch.equal(first, again)
    assert not torch.equal(first, second)


def test_rehearsal_classifies_the_made_up_features_as_unturned(start: Any) -> None:
    walk = start("pass")
    task = walk.grown(1)
    method, batch, step = walk.method, walk.batch(task), walk.step(task)
    made_up, labels = method.noisy_prototypes(len(batch), step)
    head = method.net.head
    expected = 10 * F.cross_entropy((made_up @ head.weight.T + head.bias) / 0.1, labels)
    assert method.losses(batch, step)["prototypes"].item() == pytest.approx(expected.item(), rel=1e-5)


@pytest.mark.parametrize(("radius", "counted"), [("first", 4), ("seen", 7)])
def test_the_radius_is_the_root_of_the_mean_spread_of_the_classes_the_recipe_says(
    start: Any, radius: str, counted: int
) -> None:
    walk = start("pass", radius=radius)
    walk.finish(0)
    method = walk.finish(1)
    assert method.spreads.shape == (7,)
    assert method.radius().item() == pytest.approx(
        (sum(method.spreads[:counted].tolist()) / counted) ** 0.5, rel=1e-6
    )
    features = method.raw_features(walk.task(1).train)
    covariance = torch.cov(features[walk.task(1).train.labels == 5].T, correction=0)
    assert method.spreads[5].item() == pytest.approx(covariance.trace().item() / 64, rel=1e-4)


def test_images_are_classified_by_the_unturned_outputs(start: Any) -> None:
    walk = start("pass")
    method = walk.finish(0)
    x = method.transform.plain(walk.task(0).train.images[:10])
    outputs = method.net(x)
    assert outputs.logits.shape == (10, 4)
    assert torch.equal(outputs.logits, method.net.head.joint(outputs.features)[:, [0, 4, 8, 12]])


def test_a_prototype_and_a_spread_a_class_are_kept(start: Any) -> None:
    method = start("pass").finish(0)
    network = sum(value.numel() * value.element_size() for value in method.net.state_dict().values())
    assert measure(method).kept_bytes == network + 4 * (64 + 1) * 4


@pytest.mark.parametrize("track", ["digits-b2-inc8-m60-convnet", "digits-b2-inc1-m60-convnet"])
def test_more_new_than_old_classes_and_one_new_class_are_rehearsed_alike(start: Any, track: str) -> None:
    walk = start("pass", track=track)
    task = walk.grown(1)
    losses = walk.method.losses(walk.batch(task), walk.step(task))
    assert losses.keys() == {"classification", "distillation", "prototypes"}
    assert all(torch.isfinite(value) for value in losses.values())
