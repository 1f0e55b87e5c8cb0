"""A-GEM: one constraint, drawn anew at every step."""

from __future__ import annotations

from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from cil_core.engine.run import learn_task
from cil_core.learning.gradients import flat_gradient
from cil_core.spec.events import EpochFinished

WHOLE = 1000
"""A reference batch larger than the memory: all exemplars."""


@pytest.fixture
def walk(start: Any) -> Any:
    """The second task in evaluation mode, exemplars unaugmented: the reference gradient is reproducible."""
    walk = start("agem", reference_batch=WHOLE, masks="none")
    walk.grown(1)
    method = walk.method
    method.transform.train = lambda raw, generator: method.transform.plain(raw)
    method.net.eval()
    return walk


def reference(walk: Any) -> Tensor:
    """The gradient of ordinary cross-entropy on all exemplars."""
    method = walk.method
    loss = F.cross_entropy(
        method.net(method.transform.plain(method.memory.images)).logits, method.memory.labels
    )
    return torch.cat(
        [gradient.flatten() for gradient in torch.autograd.grad(loss, list(method.net.parameters()))]
    )


def put(walk: Any, gradient: Tensor) -> Tensor:
    """Let the method treat `gradient` as a batch's; returns what it makes of it."""
    parameters = list(walk.method.net.parameters())
    for parameter, piece in zip(
        parameters, gradient.split([parameter.numel() for parameter in parameters]), strict=True
    ):
        parameter.grad = piece.reshape(parameter.shape).clone()
    task = walk.task(1)
    walk.method.respect_memory(walk.batch(task), walk.step(task))
    return flat_gradient(parameters)


def test_what_points_against_the_memory_is_removed(walk: Any) -> None:
    past = reference(walk)
    noise = (
        torch.randn(past.shape, generator=torch.Generator().manual_seed(0))
        * past.norm()
        / past.numel() ** 0.5
    )
    gradient = noise - past
    after = put(walk, gradient)
    assert abs(after @ past) <= 1e-5 * after.norm() * past.norm()
    assert after.norm() <= gradient.norm()
    assert torch.allclose(after, gradient - (gradient @ past) / (past @ past) * past, atol=1e-5)


def test_what_agrees_with_the_memory_stays_bit_for_bit(walk: Any) -> None:
    past = reference(walk)
    assert torch.equal(put(walk, past), past)


def test_every_step_draws_other_exemplars(start: Any) -> None:
    walk = start("agem", reference_batch=10)
    task = walk.grown(1)
    drawn: list[Tensor] = []

    def seen(raw: Tensor, generator: torch.Generator) -> Tensor:
        drawn.append(raw)
        return walk.method.transform.plain(raw)

    batch = next(task.train.batches(24))
    walk.method.transform.train = seen
    for index in (0, 1, 0):
        walk.method.losses(batch, walk.step(task))["classification"].backward()
        walk.method.respect_memory(batch, walk.step(task, index=index))
    assert drawn[0].shape == (10, 1, 8, 8)
    assert torch.equal(drawn[0], drawn[2])
    assert not torch.equal(drawn[0], drawn[1])
    exemplars = {image.numpy().tobytes() for image in walk.method.memory.images}
    assert {image.numpy().tobytes() for image in drawn[0]} <= exemplars


@pytest.mark.parametrize("masks", ["task", "none"])
def test_classes_compete_within_their_task_or_all_together(start: Any, masks: str) -> None:
    walk = start("agem", masks=masks)
    task = walk.grown(1)
    walk.method.net.eval()
    batch = walk.batch(task, images=200)
    assert batch.y.min() < 4 <= batch.y.max()
    logits = walk.method.net(batch.x).logits
    old = batch.y < 4
    within = F.cross_entropy(logits[old, :4], batch.y[old], reduction="sum") + F.cross_entropy(
        logits[~old, 4:], batch.y[~old] - 4, reduction="sum"
    )
    expected = within / 200 if masks == "task" else F.cross_entropy(logits, batch.y)
    assert walk.method.losses(batch, walk.step(task))["classification"].item() == pytest.approx(
        expected.item(), rel=1e-5
    )


def test_the_first_task_is_plain_training(start: Any) -> None:
    def losses(name: str) -> list[dict[str, float]]:
        walk = start(name, epochs=2)
        return [
            event.losses
            for event in learn_task(walk.method, walk.task(0))
            if isinstance(event, EpochFinished)
        ]

    assert losses("agem") == losses("finetune")


def test_exemplars_constrain_and_are_not_trained_on(start: Any) -> None:
    walk = start("agem")
    task = walk.grown(1)
    phase = next(iter(walk.phases(task)))
    assert phase.data is task.train
    assert phase.after_backward is not None
