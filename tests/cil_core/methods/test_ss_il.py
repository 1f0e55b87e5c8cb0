"""SS-IL: what is rehearsed beside a batch, and what is distilled."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F

from cil_core.learning.separated_losses import separated_cross_entropy, taskwise_distillation


def test_the_first_task_is_plain_cross_entropy(start: Any) -> None:
    walk = start("ss-il")
    task = walk.grown(0)
    walk.method.net.eval()
    batch = walk.batch(task)
    losses = walk.method.losses(batch, walk.step(task))
    assert losses.keys() == {"classification"}
    assert torch.equal(losses["classification"], F.cross_entropy(walk.method.net(batch.x).logits, batch.y))


def test_an_epoch_covers_the_new_images_and_each_batch_has_exemplars_beside_it(start: Any) -> None:
    walk = start("ss-il", replay_batch=10)
    task = walk.grown(1)
    (phase,) = [next(walk.method.learn(task))]
    assert len(phase.data) == len(task.train)
    sizes: list[int] = []
    walk.method.net.register_forward_hook(lambda net, inputs, outputs: sizes.append(len(inputs[0])))
    walk.method.losses(next(task.train.batches(24)), walk.step(task))
    assert sizes == [34]


def test_both_losses_see_new_images_and_exemplars(start: Any) -> None:
    walk = start("ss-il", replay_batch=10)
    task = walk.grown(2)
    method = walk.method
    method.net.eval()
    with torch.no_grad():
        method.net.head.weight.add_(0.1)
    batch, step = next(task.train.batches(24)), walk.step(task)
    losses = method.losses(batch, step)
    drawn = method.memory.draw(10, walk.randomness.on_device("rehearsal", 2, step.iteration))
    x, y = torch.cat([batch.x, drawn.x]), torch.cat([batch.y, drawn.y])
    logits = method.net(x).logits
    assert torch.equal(losses["classification"], separated_cross_entropy(logits, y, 7))
    expected = taskwise_distillation(logits[:, :7], method.old_logits(x), (0, 4, 7), 2.0)
    assert torch.equal(losses["distillation"], expected)


def test_right_after_growth_the_distillation_is_zero(start: Any) -> None:
    walk = start("ss-il")
    task = walk.grown(1)
    walk.method.net.eval()
    loss = walk.method.losses(walk.batch(task), walk.step(task))["distillation"]
    assert abs(loss.item()) < 1e-5


def test_a_memory_smaller_than_the_rehearsed_batch_is_rehearsed_whole(start: Any) -> None:
    walk = start("ss-il", replay_batch=500)
    task = walk.grown(1)
    sizes: list[int] = []
    walk.method.net.register_forward_hook(lambda net, inputs, outputs: sizes.append(len(inputs[0])))
    walk.method.losses(next(task.train.batches(24)), walk.step(task))
    assert sizes == [24 + 60]
