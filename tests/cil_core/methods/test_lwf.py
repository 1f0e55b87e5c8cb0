"""LwF: the old network's responses on new images."""

from __future__ import annotations

from typing import Any

import pytest
import torch
import torch.nn.functional as F

from cil_core.engine.run import learn_task
from cil_core.spec.events import EpochFinished


def test_the_first_task_has_no_distillation(start: Any) -> None:
    walk = start("lwf")
    task = walk.grown(0)
    assert walk.method.losses(walk.batch(task), walk.step(task)).keys() == {"classification"}


def test_the_objective_is_the_published_one(start: Any) -> None:
    walk = start("lwf", distillation_weight=3.0, temperature=2.0)
    task = walk.grown(1)
    batch = walk.batch(task)
    walk.method.net.eval()
    logits, teacher = walk.method.net(batch.x).logits, walk.method.teacher(batch.x).logits
    losses = walk.method.losses(batch, walk.step(task))
    assert losses.keys() == {"classification", "distillation"}
    assert losses["classification"].item() == pytest.approx(
        F.cross_entropy(logits[:, 4:], batch.y - 4).item()
    )
    soft = F.softmax(teacher / 2, dim=1)
    assert losses["distillation"].item() == pytest.approx(
        -3 * (soft * F.log_softmax(logits[:, :4] / 2, dim=1)).sum(1).mean().item(), rel=1e-5
    )


def test_right_after_growth_only_classification_pulls_and_not_on_old_rows(start: Any) -> None:
    """The student equals the teacher: distillation has no gradient; cross-entropy never reaches old rows."""
    walk = start("lwf")
    task = walk.grown(1)
    walk.method.net.eval()
    losses = walk.method.losses(walk.batch(task), walk.step(task))
    parameters = list(walk.method.net.parameters())
    still = torch.autograd.grad(losses["distillation"], parameters, retain_graph=True)
    assert max(gradient.abs().max().item() for gradient in still) < 1e-5
    (moved,) = torch.autograd.grad(losses["classification"], [walk.method.net.head.weight])
    assert not moved[:4].any()
    assert moved[4:].any()


def test_without_distillation_it_is_finetuning(start: Any) -> None:
    def losses(name: str, **changes: Any) -> list[float]:
        walk = start(name, epochs=2, **changes)
        walk.finish(0)
        return [
            event.losses["classification"]
            for event in learn_task(walk.method, walk.task(1))
            if isinstance(event, EpochFinished)
        ]

    assert losses("lwf", distillation_weight=0.0) == losses("finetune")


def test_the_optional_term_is_half_the_squared_distance_to_the_old_network(start: Any) -> None:
    walk = start("lwf", l2_sp=0.5)
    task = walk.grown(1)
    with torch.no_grad():
        walk.method.net.head.bias.add_(2)
    losses = walk.method.losses(walk.batch(task), walk.step(task))
    assert losses["l2_sp"].item() == pytest.approx(0.5 * 4 * 2**2 / 2)
