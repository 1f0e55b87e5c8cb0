"""Replay: exemplars in the stream, and nothing else."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import torch
import torch.nn.functional as F

from cil_core.engine.registry import create
from cil_core.engine.run import learn_task
from cil_core.learning.memory import select
from cil_core.spec.events import EpochFinished
from cil_core.spec.jobs import MemoryBudget


def test_new_data_and_exemplars_are_shuffled_together(start: Any) -> None:
    walk = start("replay")
    task = walk.grown(1)
    phase = next(iter(walk.phases(task)))
    assert len(phase.data) == len(task.train) + 60
    assert torch.equal(phase.data.images[-60:], walk.method.memory.images)


def test_the_loss_is_cross_entropy_over_all_seen_classes(start: Any) -> None:
    walk = start("replay")
    task = walk.grown(1)
    batch = walk.batch(task, images=200)
    assert batch.y.min() < 4 <= batch.y.max()
    walk.method.net.eval()
    losses = walk.method.losses(batch, walk.step(task))
    assert losses.keys() == {"classification"}
    assert torch.equal(losses["classification"], F.cross_entropy(walk.method.net(batch.x).logits, batch.y))


def test_every_class_keeps_its_quota_and_old_classes_their_first_exemplars(start: Any) -> None:
    walk = start("replay")
    first = walk.finish(0).memory.data
    assert first.labels.bincount().tolist() == [15] * 4
    second = walk.finish(1).memory.data
    assert second.labels.bincount().tolist() == [8] * 7
    for label in range(4):
        assert torch.equal(
            second.of_classes(label, label + 1).images, first.of_classes(label, label + 1).images[:8]
        )


def test_exemplars_are_herded_with_the_final_extractor(start: Any) -> None:
    walk = start("replay")
    method = walk.finish(0)
    expected = select(walk.task(0).train, 15, "herding_greedy", method.unit_features)
    assert torch.equal(method.memory.images, expected.images)


def test_without_a_memory_it_is_finetuning_over_all_classes(start: Any) -> None:
    """A job without a budget is refused; the engine itself goes on with an empty memory."""

    def losses(name: str, **changes: Any) -> list[dict[str, float]]:
        walk = start(name, epochs=2, later_tasks={"epochs": 2, "batch_size": 32, "milestones": []}, **changes)
        method = create(walk.recipe, replace(walk.method.context, budget=MemoryBudget(kind="none")))
        tasks = [walk.task(0), walk.task(1)]
        return [
            event.losses
            for task in tasks
            for event in learn_task(method, task)
            if isinstance(event, EpochFinished)
        ]

    assert losses("replay") == losses("finetune", logits="full")
