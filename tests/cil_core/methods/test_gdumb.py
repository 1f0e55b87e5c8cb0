"""GDumb: the memory alone decides, and CutMix mixes some batches."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F

from cil_core.spec.recipes import GDumbRecipe


def test_the_result_depends_on_the_memory_and_not_on_what_was_learnt_before(start: Any) -> None:
    """Two histories, one with a ruined network, lead to the same weights."""
    honest, ruined = start("gdumb", epochs=2), start("gdumb", epochs=2)
    honest.finish(0)
    ruined.finish(0)
    with torch.no_grad():
        for parameter in ruined.method.net.parameters():
            parameter.mul_(-3)
    first, second = honest.finish(1).state_dict(), ruined.finish(1).state_dict()
    assert all(torch.equal(first[name], second[name]) for name in first)


def test_other_memory_gives_other_weights(start: Any) -> None:
    one, other = start("gdumb"), start("gdumb")
    one.finish(0)
    other.finish(0)
    other.method.memory.images.zero_()
    first, second = one.finish(1), other.finish(1)
    assert not torch.equal(first.net.head.weight, second.net.head.weight)


def test_it_trains_on_the_memory_alone(start: Any) -> None:
    walk = start("gdumb")
    task = walk.grown(1)
    phase = next(walk.method.learn(task))
    assert len(phase.data) == 60
    assert phase.data.labels.bincount().tolist() == [8, 8, 8, 9, 9, 9, 9]


def test_with_room_for_all_images_it_is_joint_training(start: Any) -> None:
    walk = start("gdumb", track="digits-b4-inc3-m9999-convnet")
    method = walk.finish(0)
    walk.finish(1)
    seen = torch.cat([walk.task(index).train.labels for index in (0, 1)])
    assert torch.equal(method.memory.labels.bincount(), seen.bincount())
    pixels = torch.cat([walk.task(index).train.images for index in (0, 1)]).float().sum()
    assert method.memory.images.float().sum() == pixels


def test_the_memory_is_shuffled_before_it_is_cut_not_the_first_of_each_class(start: Any) -> None:
    walk = start("gdumb")
    method = walk.finish(0)
    train = walk.task(0).train
    first = train.images[train.labels == 0][:15]
    assert not torch.equal(method.memory.images[method.memory.labels == 0], first)


def test_cutmix_of_probability_zero_is_plain_cross_entropy(start: Any) -> None:
    walk = start("gdumb", cutmix=0.0)
    task = walk.grown(0)
    walk.method.net.eval()
    batch = walk.batch(task)
    found = walk.method.losses(batch, walk.step(task))["classification"]
    assert torch.equal(found, F.cross_entropy(walk.method.net(batch.x).logits, batch.y))


def test_half_of_all_batches_are_mixed(start: Any) -> None:
    walk = start("gdumb")
    task = walk.grown(0)
    walk.method.net.eval()
    batch = walk.batch(task)
    plain = F.cross_entropy(walk.method.net(batch.x).logits, batch.y)
    mixed = 0
    for index in range(60):
        mixed += not torch.equal(
            walk.method.losses(batch, walk.step(task, index=index))["classification"], plain
        )
    assert 18 <= mixed <= 42


def test_the_last_epoch_counts_and_rates_restart() -> None:
    """One epoch at a tenth, then cosines of 1, 2, 4 … epochs from 0.05 towards 0.0005."""
    schedule = GDumbRecipe.published().later_tasks
    assert (schedule.epochs, schedule.batch_size, schedule.clip_norm, schedule.weight_decay) == (
        256,
        16,
        10,
        1e-6,
    )
    assert [schedule.lr_at(epoch) for epoch in (0, 1, 2, 4, 8)] == [0.005, 0.05, 0.05, 0.05, 0.05]
    assert schedule.lr_at(3) == 0.0005 + (0.05 - 0.0005) / 2
