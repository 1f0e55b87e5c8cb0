"""SI: the path is that of the classification alone, and the penalty weighs by it."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from cil_core.engine.run import learn_task
from cil_core.learning.importance import Importance
from cil_core.learning.losses import slice_cross_entropy
from cil_core.spec.events import EpochFinished


def test_the_path_excludes_the_penalty_s_gradient(start: Any) -> None:
    """The noted gradient is that of the classification, though one backward pass went through both."""
    walk = start("si", strength=500.0)
    task = walk.grown(1)
    method = walk.method
    (phase,) = [next(method.learn(task))]
    with torch.no_grad():
        for parameter in method.net.parameters():
            parameter.add_(0.05)
    method.net.eval()
    batch, step = walk.batch(task), walk.step(task)
    terms = method.losses(batch, step)
    assert terms["penalty"] > 0
    expected = torch.autograd.grad(
        slice_cross_entropy(method.net(batch.x).logits, batch.y, task.known), list(method.net.parameters())
    )
    sum(terms.values()).backward()
    phase.after_backward(batch, step)
    before = {name: p.detach().clone() for name, p in method.net.named_parameters()}
    with torch.no_grad():
        for parameter in method.net.parameters():
            parameter.add_(1)  # a displacement of 1 makes the sum minus the gradient
    phase.after_step(batch, step)
    for (name, gradient), value in zip(before.items(), expected, strict=True):
        assert method.path.sums[name].shape == gradient.shape
        assert torch.allclose(method.path.sums[name], -value, atol=2e-3 * float(value.abs().max()) + 1e-4)


def test_the_pull_is_the_gradient_of_the_penalty(start: Any) -> None:
    walk = start("si")
    walk.grown(1)
    method = walk.method
    with torch.no_grad():
        for parameter in method.net.parameters():
            parameter.add_(0.1)
    penalty = method.importance.penalty(method.net, method.teacher)
    gradients = torch.autograd.grad(penalty, list(method.net.parameters()))
    pull = method.importance.pull(method.net, method.teacher)
    for (name, _), gradient in zip(method.net.named_parameters(), gradients, strict=True):
        assert torch.allclose(pull[name], gradient, rtol=1e-4, atol=1e-7)
    assert not pull["head.weight"][4:].any()


def test_the_penalty_is_zero_at_the_teacher_and_strength_times_importance_away_from_it(start: Any) -> None:
    walk = start("si", strength=5.0)
    task = walk.grown(1)
    assert walk.method.losses(walk.batch(task), walk.step(task))["penalty"].item() == 0
    with torch.no_grad():
        walk.method.net.head.weight.add_(0.2)
    expected = 5 * walk.method.importance.get("head.weight").sum().item() * 0.2**2
    found = walk.method.losses(walk.batch(task), walk.step(task))["penalty"].item()
    assert found == pytest.approx(expected, rel=1e-3)


def test_new_rows_count_from_their_initial_values_and_importances_add_up(start: Any) -> None:
    walk = start("si")
    walk.finish(0)
    before = walk.method.importance.get("head.weight").clone()
    walk.finish(1)
    after = walk.method.importance.get("head.weight")
    fresh = walk.method.path.importance(walk.recipe.damping)["head.weight"]
    assert after.shape == (7, 64)
    assert torch.allclose(after[:4], before + fresh[:4])
    assert torch.equal(after[4:], fresh[4:])
    assert after[4:].max() > 0


def test_every_importance_is_at_least_zero(start: Any) -> None:
    walk = start("si")
    walk.finish(0)
    assert all((value >= 0).all() for value in walk.method.importance.buffers())


def test_a_task_without_steps_adds_no_importance(start: Any) -> None:
    walk = start("si")
    walk.finish(0)
    before = {name: value.clone() for name, value in walk.method.importance.named_buffers()}
    task = walk.task(0)
    list(walk.method.learn(task))  # the phase is skipped, as when nothing is trained
    after = dict(walk.method.importance.named_buffers())
    assert all(torch.equal(after[name], value) for name, value in before.items())


def test_without_strength_it_is_finetuning_to_the_bit(start: Any) -> None:
    def losses(name: str, **changes: Any) -> list[float]:
        walk = start(name, epochs=2, **changes)
        walk.finish(0)
        events = learn_task(walk.method, walk.task(1))
        return [event.losses["classification"] for event in events if isinstance(event, EpochFinished)]

    assert losses("si", strength=0.0) == losses("finetune")


def test_an_empty_importance_pulls_nothing() -> None:
    layer = torch.nn.Linear(2, 2)
    assert Importance().pull(layer, layer) == {}
