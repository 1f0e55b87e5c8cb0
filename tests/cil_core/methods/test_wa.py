"""WA: aligned once a task, clipped in between, λ = o / n."""

from __future__ import annotations

from typing import Any

import pytest
import torch
import torch.nn.functional as F


def trained(walk: Any, index: int) -> Any:
    """The task at `index`, trained and not yet consolidated."""
    task = walk.grown(index)
    for _ in walk.phases(task):
        pass
    return task


def test_the_first_task_is_plain_cross_entropy(start: Any) -> None:
    walk = start("wa")
    task = walk.grown(0)
    batch = walk.batch(task)
    losses = walk.method.losses(batch, walk.step(task))
    assert losses.keys() == {"classification"}
    assert torch.equal(losses["classification"], F.cross_entropy(walk.method.net(batch.x).logits, batch.y))


def test_later_tasks_share_the_objective_by_classes(start: Any) -> None:
    walk = start("wa")
    task = walk.grown(1)
    batch = walk.batch(task)
    walk.method.net.eval()
    losses = walk.method.losses(batch, walk.step(task))
    logits, teacher = walk.method.net(batch.x).logits, walk.method.teacher(batch.x).logits
    soft = F.softmax(teacher / 2, dim=1)
    assert losses["classification"].item() == pytest.approx(
        3 / 7 * F.cross_entropy(logits, batch.y).item(), rel=1e-5
    )
    assert losses["distillation"].item() == pytest.approx(
        4 / 7 * -(soft * F.log_softmax(logits[:, :4] / 2, dim=1)).sum(1).mean().item(), rel=1e-5
    )


def test_the_survey_adds_the_weighted_distillation_to_the_whole_cross_entropy(start: Any) -> None:
    walk = start("wa", distillation_weight=2.0)
    task = walk.grown(1)
    batch = walk.batch(task)
    walk.method.net.eval()
    losses = walk.method.losses(batch, walk.step(task))
    logits, teacher = walk.method.net(batch.x).logits, walk.method.teacher(batch.x).logits
    soft = F.softmax(teacher / 2, dim=1)
    assert losses["classification"].item() == pytest.approx(F.cross_entropy(logits, batch.y).item(), rel=1e-5)
    assert losses["distillation"].item() == pytest.approx(
        2 * -(soft * F.log_softmax(logits[:, :4] / 2, dim=1)).sum(1).mean().item(), rel=1e-5
    )


def test_consolidation_aligns_the_new_rows_and_nothing_else(start: Any, differing: Any) -> None:
    walk = start("wa")
    task = trained(walk, 1)
    before = walk.state()
    walk.method.consolidate(task)
    after = walk.state()
    assert differing(before, after) == {"net.head.weight"}
    old, new = after["net.head.weight"][:4], after["net.head.weight"][4:]
    assert torch.equal(old, before["net.head.weight"][:4])
    assert new.norm(dim=1).mean().item() == pytest.approx(old.norm(dim=1).mean().item(), rel=1e-6)
    gamma = walk.method.diagnostics["alignment"]
    assert torch.allclose(new, gamma * before["net.head.weight"][4:], rtol=1e-6)
    assert gamma != pytest.approx(1, abs=1e-3)


def test_the_first_task_is_not_aligned(start: Any, differing: Any) -> None:
    walk = start("wa")
    task = trained(walk, 0)
    before = walk.state()
    walk.method.consolidate(task)
    assert differing(before, walk.state()) == set()
    assert walk.method.diagnostics == {}


def test_the_teacher_is_the_aligned_network(start: Any) -> None:
    walk = start("wa")
    walk.finish(0)
    walk.finish(1)
    weight = walk.method.teacher.head.weight
    assert weight[4:].norm(dim=1).mean().item() == pytest.approx(
        weight[:4].norm(dim=1).mean().item(), rel=1e-6
    )


def test_clipped_weights_are_never_negative(start: Any) -> None:
    walk = start("wa")
    for index in range(2):
        assert walk.finish(index).net.head.weight.min() >= 0
    assert walk.method.net.head.weight.max() > 0


def test_without_clipping_some_weights_are_negative(start: Any) -> None:
    assert start("wa", clip_weights=False).finish(0).net.head.weight.min() < 0


def test_the_head_has_no_bias_by_default_and_aligning_keeps_a_bias(start: Any, differing: Any) -> None:
    assert start("wa").method.net.head.bias is None
    walk = start("wa", bias=True)
    task = trained(walk, 1)
    before = walk.state()
    walk.method.consolidate(task)
    assert before["net.head.bias"].abs().max() > 0
    assert differing(before, walk.state()) == {"net.head.weight"}
