"""COIL: what is transported when, from which data, and with which weight."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import pytest
import torch
import torch.nn.functional as F

from cil_core.learning.classifiers import class_means
from cil_core.learning.optimal_transport import carried_rows, class_cost, transport_plan


def test_the_first_task_is_plain_cross_entropy(start: Any) -> None:
    walk = start("coil")
    task = walk.grown(0)
    batch = walk.batch(task)
    losses = walk.method.losses(batch, walk.step(task))
    assert losses.keys() == {"classification"}
    assert torch.equal(losses["classification"], F.cross_entropy(walk.method.net(batch.x).logits, batch.y))


def test_old_means_come_from_exemplars_and_new_ones_from_the_task(start: Any) -> None:
    walk = start("coil")
    walk.finish(0)
    task = walk.task(1)
    old, new = walk.method.means(task)
    assert torch.allclose(old, class_means(walk.method), atol=1e-6)
    features = walk.method.unit_features(task.train)
    expected = torch.stack(
        [F.normalize(features[task.train.labels == label].mean(dim=0), dim=0) for label in (4, 5, 6)]
    )
    assert torch.allclose(new, expected, atol=1e-6)


def test_new_rows_are_transported_from_old_ones(start: Any) -> None:
    walk = start("coil")
    walk.finish(0)
    task, before = walk.task(1), walk.method.net.head.weight.detach().clone()
    old, new = walk.method.means(task)
    expected = carried_rows(transport_plan(class_cost(old, new, 3.0), 0.464), before)
    walk.method.grow(task)
    weight = walk.method.net.head.weight
    assert torch.equal(weight[:4], before)
    assert torch.allclose(weight[4:], expected, atol=1e-6)
    assert weight[4:].norm(dim=1).mean().item() == pytest.approx(before.norm(dim=1).mean().item(), rel=1e-5)


def test_growing_keeps_the_scale(start: Any) -> None:
    walk = start("coil")
    scale = walk.finish(0).net.head.scale.item()
    walk.method.grow(walk.task(1))
    assert scale != 1
    assert walk.method.net.head.scale.item() == scale


def soft_answers(teacher: Any, student: Any) -> float:
    loss: float = (
        -(F.softmax(teacher / 2, dim=1) * F.log_softmax(student / 2, dim=1)).sum(dim=1).mean().item()
    )
    return loss


def cosine(x: Any, rows: Any) -> Any:
    return F.normalize(x, dim=1) @ F.normalize(rows, dim=1).T


@pytest.mark.parametrize("scaled", [True, False])
def test_the_prospective_term_weighs_a_thousandth_in_epoch_0_only(start: Any, scaled: bool) -> None:
    walk = start("coil", scaled_transport=scaled)
    task = walk.grown(1)
    walk.method.net.eval()
    batch = walk.batch(task)
    first, second = (walk.method.losses(batch, walk.step(task, epoch=epoch)) for epoch in (0, 1))
    outputs = walk.method.net(batch.x)
    scale = walk.method.net.head.scale if scaled else 1
    target = scale * cosine(outputs.features, walk.method.prospective)
    assert first["prospective"].item() == pytest.approx(
        1e-3 * soft_answers(target, outputs.logits[:, 4:]), rel=1e-4
    )
    assert first.keys() == {"classification", "distillation", "prospective"}
    assert "prospective" not in second


@pytest.mark.parametrize("epoch", [1, 80, 159])
def test_the_retrospective_term_grows_with_the_square_of_the_epoch(start: Any, epoch: int) -> None:
    walk = start("coil")
    task = walk.grown(1)
    walk.method.net.eval()
    batch = walk.batch(task)
    losses = walk.method.losses(batch, walk.step(task, epoch=epoch))
    outputs = walk.method.net(batch.x)
    student = walk.method.net.head.scale * cosine(outputs.features, walk.method.retrospective)
    expected = 1e-3 * (epoch / 160) ** 2 * soft_answers(walk.method.teacher(batch.x).logits, student)
    assert losses["retrospective"].item() == pytest.approx(expected, rel=1e-4)
    assert losses.keys() == {"classification", "distillation", "retrospective"}


def test_retrospective_rows_are_renewed_every_thirty_steps(start: Any) -> None:
    walk = start("coil")
    task = walk.grown(1)
    batch = walk.batch(task)
    seen = []
    for index in (0, 1, 29, 30, 31, 60):
        walk.method.losses(batch, walk.step(task, epoch=1, index=index))
        seen.append(walk.method.retrospective)
    assert [later is earlier for earlier, later in pairwise(seen)] == [True, True, False, True, False]
    assert seen[0].shape == (4, 64)
    old, new = walk.method.means(task)
    expected = carried_rows(transport_plan(class_cost(new, old, 3.0), 0.464), walk.method.net.head.weight[4:])
    assert torch.allclose(seen[-1], expected, atol=1e-6)
    assert not seen[-1].requires_grad


def test_the_retrospective_term_trains_the_extractor_and_no_row(start: Any) -> None:
    walk = start("coil")
    task = walk.grown(1)
    losses = walk.method.losses(walk.batch(task), walk.step(task, epoch=100))
    losses["retrospective"].backward()
    assert walk.method.net.head.weight.grad is None
    assert max(parameter.grad.abs().max() for parameter in walk.method.net.backbone.parameters()) > 0


def test_few_new_classes_still_give_retrospective_rows(start: Any) -> None:
    """With one marginal for both sides the plan would collapse to zeros here."""
    walk = start("coil", "digits-b8-inc2-m60-convnet")
    task = walk.grown(1)
    walk.method.transport_back(task)
    assert walk.method.retrospective.shape == (8, 64)
    assert walk.method.retrospective.norm(dim=1).min() > 0.1 * walk.method.net.head.weight.norm(dim=1).mean()


def test_both_plans_are_reported(start: Any) -> None:
    walk = start("coil", epochs=2)
    assert walk.finish(0).diagnostics == {}
    diagnostics = walk.finish(1).diagnostics
    assert diagnostics.keys() == {
        f"{way}_{what}" for way in ("prospective", "retrospective") for what in ("marginal_error", "contrast")
    }
    assert diagnostics["prospective_marginal_error"] < 1e-6
    assert diagnostics["retrospective_marginal_error"] < 1e-6
    assert diagnostics["prospective_contrast"] > 1


def test_logits_ignore_row_norms_and_stay_within_the_scale(start: Any) -> None:
    walk = start("coil")
    task = walk.grown(1)
    x, net = walk.batch(task).x, walk.method.net.eval()
    before = net(x).logits
    assert before.abs().max() <= net.head.scale.abs()
    with torch.no_grad():
        net.head.weight[3] *= 17
    assert torch.allclose(net(x).logits, before, atol=1e-5)


def test_features_have_both_signs(start: Any) -> None:
    walk = start("coil")
    features = walk.method.raw_features(walk.task(0).train)
    assert features.min() < 0 < features.max()
