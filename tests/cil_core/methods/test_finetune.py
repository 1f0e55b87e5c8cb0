"""Finetune: the new data alone, over the new classes or over all of them."""

from __future__ import annotations

from typing import Any

import pytest
import torch
import torch.nn.functional as F

SCHEDULE = {"epochs": 2, "batch_size": 32, "milestones": [], "weight_decay": 0}
STILL = {"first_task": SCHEDULE, "later_tasks": SCHEDULE}


def test_over_the_new_classes_and_without_weight_decay_old_rows_stay_bit_for_bit(start: Any) -> None:
    walk = start("finetune", **STILL)
    before = walk.finish(0).net.head.state_dict()
    after = walk.finish(1).net.head.state_dict()
    assert torch.equal(after["weight"][:4], before["weight"])
    assert torch.equal(after["bias"][:4], before["bias"])
    assert after["weight"].shape == (7, 64)


def test_weight_decay_shrinks_old_rows_and_keeps_their_direction(start: Any) -> None:
    walk = start("finetune")
    before = walk.finish(0).net.head.weight
    after = walk.finish(1).net.head.weight[:4]
    assert torch.allclose(F.cosine_similarity(before, after), torch.ones(4))
    assert (after.norm(dim=1) < before.norm(dim=1)).all()


def test_over_all_classes_old_logits_are_pushed_down(start: Any) -> None:
    walk = start("finetune", logits="full", **STILL)
    before = walk.finish(0).net.head.bias
    assert (walk.finish(1).net.head.bias[:4] < before).all()


@pytest.mark.parametrize("logits", ["slice", "full"])
def test_the_first_task_is_plain_cross_entropy(start: Any, logits: str) -> None:
    walk = start("finetune", logits=logits)
    task = walk.grown(0)
    batch = walk.batch(task)
    losses = walk.method.losses(batch, walk.step(task))
    assert losses.keys() == {"classification"}
    assert torch.equal(losses["classification"], F.cross_entropy(walk.method.net(batch.x).logits, batch.y))


@pytest.mark.parametrize(("logits", "low"), [("slice", 4), ("full", 0)])
def test_later_losses_are_cross_entropy_over_the_classes_the_recipe_says(
    start: Any, logits: str, low: int
) -> None:
    walk = start("finetune", logits=logits)
    task = walk.grown(1)
    batch = walk.batch(task)
    walk.method.net.eval()
    expected = F.cross_entropy(walk.method.net(batch.x).logits[:, low:], batch.y - low)
    assert walk.method.losses(batch, walk.step(task))["classification"].item() == pytest.approx(
        expected.item()
    )


def test_nothing_is_kept(start: Any) -> None:
    walk = start("finetune")
    assert len(walk.finish(0).memory) == 0
    assert len(walk.finish(1).memory) == 0
