"""X-DER: its buffer, which terms act when, and whose logits move."""

from __future__ import annotations

from typing import Any

import torch

from cil_core.engine.footprint import measure
from cil_core.learning.losses import slice_cross_entropy
from cil_core.nets.future import still_statistics


def test_terms_of_classes_to_come_end_with_the_last_task(start: Any) -> None:
    walk = start("x-der")
    seen = []
    for index in range(3):
        task = walk.task(index)
        walk.method.grow(task)
        next(walk.method.learn(task))
        seen.append(set(walk.method.losses(next(task.train.batches(24)), walk.step(task))))
        walk.method.remember(task)
    rehearsal = {"classification", "recall", "rehearsal", "past margin"}
    assert seen == [
        {"classification", "future margin", "contrast"},
        rehearsal | {"future margin", "contrast", "similarity"},
        rehearsal,
    ]


def test_without_weights_only_the_slice_of_new_classes_is_trained(start: Any) -> None:
    weights = dict.fromkeys(("alpha", "beta", "contrast_weight", "similarity_weight", "margin_weight"), 0.0)
    walk = start("x-der", **weights)
    task = walk.grown(1)
    method, batch = walk.method, next(task.train.batches(24))
    next(method.learn(task))
    method.net.train()
    losses = method.losses(batch, walk.step(task))
    with still_statistics(method.net):
        expected = slice_cross_entropy(method.net(batch.x).logits, batch.y, 4)
    parameters = list(method.net.parameters())
    found = torch.autograd.grad(torch.stack(list(losses.values())).sum(), parameters)
    for one, other in zip(found, torch.autograd.grad(expected, parameters), strict=True):
        assert torch.allclose(one, other, atol=1e-6)


def test_the_buffer_holds_the_quota_of_each_class_with_logits_of_all_classes(start: Any) -> None:
    walk = start("x-der")
    walk.finish(0)
    method = walk.finish(1)
    assert method.memory.labels.bincount().tolist() == [8] * 7
    assert method.stored.logits.shape == (56, 10)


def test_old_classes_keep_their_first_images(start: Any) -> None:
    walk = start("x-der")
    before = walk.finish(0).memory.images.clone()
    labels = walk.method.memory.labels.clone()
    method = walk.finish(1)
    for label in range(4):
        kept = method.memory.images[method.memory.labels == label]
        assert torch.equal(kept, before[labels == label][:8])


def test_no_stored_logit_of_another_task_exceeds_that_of_the_own_class(start: Any) -> None:
    walk = start("x-der")
    walk.finish(0)
    method = walk.finish(1)
    logits, labels = method.stored.logits, method.memory.labels
    own = logits.gather(1, labels[:, None])[:, 0]
    old, positive = labels < 4, own > 0
    assert bool((logits[old & positive][:, 4:].max(dim=1).values <= own[old & positive]).all())
    new = ~old & positive
    assert bool((logits[new][:, :4].max(dim=1).values <= own[new]).all())


def test_a_step_writes_current_and_later_columns_of_drawn_exemplars_alone(start: Any) -> None:
    walk = start("x-der")
    task = walk.grown(1)
    method, batch, step = walk.method, next(task.train.batches(24)), walk.step(task)
    next(method.learn(task))
    method.net.train()
    before = method.stored.logits.clone()
    method.losses(batch, step)
    method.transplant(batch, step)
    changed = (method.stored.logits != before).any(dim=1).nonzero().flatten()
    drawn, _ = method.latest
    assert set(changed.tolist()) == set(drawn.index.tolist())  # the first draw is used with probability 1
    assert torch.equal(method.stored.logits[:, :4], before[:, :4])


def test_statistics_move_in_the_mixed_replay_alone(start: Any) -> None:
    walk = start("x-der")
    task = walk.grown(1)
    method, batch = walk.method, next(task.train.batches(24))
    next(method.learn(task))
    method.net.train()
    norm = method.net.backbone.trunk[1].norm
    before = int(norm.num_batches_tracked)
    method.losses(batch, walk.step(task))
    assert int(norm.num_batches_tracked) == before + 1


def test_outputs_of_classes_to_come_do_not_classify(start: Any) -> None:
    walk = start("x-der")
    method = walk.finish(0)
    x = walk.batch(walk.task(0)).x
    assert method.net(x).logits.shape == (24, 4)
    assert method.net.every_logit(x).shape == (24, 10)


def test_stored_logits_are_charged(start: Any) -> None:
    """60 images of 64 bytes, their labels of 8 and 10 logits of 4 bytes; the network."""
    method = start("x-der").finish(0)
    network = sum(value.numel() * value.element_size() for value in method.net.state_dict().values())
    assert measure(method).kept_bytes == network + 60 * (64 + 8 + 10 * 4)
