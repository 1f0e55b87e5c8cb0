"""GEM: constraints of every past task, told apart by the protocol's boundaries."""

from __future__ import annotations

from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from cil_core.engine.run import learn_task
from cil_core.learning.gradients import flat_gradient
from cil_core.spec.events import EpochFinished

UNEVEN = "digits-b5-inc2-m60-convnet"
"""Tasks of 5, 2, 2 and 1 classes, so that no arithmetic on increments finds the boundaries."""


def gradient_on(walk: Any, low: int, high: int) -> Tensor:
    """The gradient of the loss on the exemplars of the classes low … high − 1, among those classes."""
    method = walk.method
    labels = method.memory.labels
    chosen = (labels >= low) & (labels < high)
    logits = method.net(method.transform.plain(method.memory.images[chosen])).logits
    loss = F.cross_entropy(logits[:, low:high], labels[chosen] - low)
    found = torch.autograd.grad(loss, list(method.net.parameters()), allow_unused=True)
    return torch.cat(
        [
            torch.zeros_like(p).flatten() if g is None else g.flatten()
            for g, p in zip(found, method.net.parameters(), strict=True)
        ]
    )


def projected(walk: Any, task: Any, gradient: Tensor) -> Tensor:
    """The projection of a batch's gradient, in evaluation mode: passes leave batch-norm statistics alone."""
    method = walk.method
    method.net.eval()
    parameters = list(method.net.parameters())
    for parameter, piece in zip(
        parameters, gradient.split([parameter.numel() for parameter in parameters]), strict=True
    ):
        parameter.grad = piece.reshape(parameter.shape).clone()
    method.project(walk.batch(task), walk.step(task))
    return flat_gradient(parameters)


def test_each_constraint_is_a_past_task_on_its_own_classes(start: Any) -> None:
    walk = start("gem", track=UNEVEN)
    task = walk.grown(2)
    walk.method.net.eval()
    for low, high in ((0, 5), (5, 7)):
        assert torch.allclose(
            walk.method.past_gradient(low, high, task.bounds), gradient_on(walk, low, high), atol=1e-6
        )


@pytest.mark.parametrize("harmed", [0, 1, 2])
def test_after_projection_no_past_task_is_harmed(start: Any, harmed: int) -> None:
    """A gradient that helps two of three past tasks and harms one."""
    walk = start("gem", track=UNEVEN, margin=0.0, ridge=0.0)
    task = walk.grown(3)
    walk.method.net.eval()
    past = torch.stack([gradient_on(walk, low, high) for low, high in ((0, 5), (5, 7), (7, 9))])
    directions = past / past.norm(dim=1, keepdim=True)
    wish = torch.linalg.lstsq(
        directions, torch.tensor([-1.0 if index == harmed else 2.0 for index in range(3)])[:, None]
    ).solution[:, 0]
    assert (directions @ wish).sign().tolist() == [-1 if index == harmed else 1 for index in range(3)]
    after = projected(walk, task, wish)
    assert (directions @ after).min() >= -1e-5
    assert abs(directions[harmed] @ after) <= 1e-4
    assert not torch.equal(after, wish)


def test_a_gradient_that_harms_nothing_stays_bit_for_bit(start: Any) -> None:
    walk = start("gem")
    task = walk.grown(1)
    walk.method.net.eval()
    past = gradient_on(walk, 0, 4)
    assert torch.equal(projected(walk, task, past), past)


def test_exemplars_constrain_and_are_not_trained_on(start: Any) -> None:
    walk = start("gem")
    task = walk.grown(1)
    phase = next(iter(walk.phases(task)))
    assert len(walk.method.memory) == 60
    assert phase.data is task.train
    assert phase.after_backward is not None


def test_the_loss_is_cross_entropy_among_the_new_classes(start: Any) -> None:
    walk = start("gem")
    task = walk.grown(1)
    walk.method.net.eval()
    batch = next(task.train.batches(24))
    expected = F.cross_entropy(walk.method.net(batch.x).logits[:, 4:], batch.y - 4)
    assert walk.method.losses(batch, walk.step(task))["classification"].item() == pytest.approx(
        expected.item()
    )


def test_the_first_task_is_plain_training(start: Any) -> None:
    def losses(name: str) -> list[dict[str, float]]:
        walk = start(name, epochs=2, first_task={"epochs": 2, "batch_size": 32, "milestones": []})
        return [
            event.losses
            for event in learn_task(walk.method, walk.task(0))
            if isinstance(event, EpochFinished)
        ]

    assert losses("gem") == losses("finetune")
