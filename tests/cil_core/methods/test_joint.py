"""Joint: a new network on everything, at every task."""

from __future__ import annotations

from typing import Any

import torch

from cil_core.engine.run import learn_task
from cil_core.spec.events import EpochFinished


def losses_of(walk: Any) -> list[dict[str, float]]:
    return [
        event.losses for event in learn_task(walk.method, walk.task(0)) if isinstance(event, EpochFinished)
    ]


def test_the_first_task_is_finetuning(start: Any) -> None:
    assert losses_of(start("joint", epochs=3)) == losses_of(start("finetune", epochs=3))


def test_every_task_starts_from_new_weights(start: Any, differing: Any) -> None:
    walk = start("joint")
    walk.method.grow(walk.task(0))
    first = walk.state()
    walk.method.grow(walk.task(1))
    second = walk.state()
    assert "net.backbone.trunk.1.conv.weight" in {
        name
        for name in first
        if first[name].shape == second[name].shape and not torch.equal(first[name], second[name])
    }
    again = start("joint")
    again.finish(0)
    again.method.grow(again.task(1))
    fresh = {name: value for name, value in again.state().items() if name.startswith("net.")}
    assert differing(fresh, {name: second[name] for name in fresh}) == set()


def test_it_trains_on_all_images_so_far(start: Any) -> None:
    walk = start("joint")
    task = walk.grown(1)
    phase = next(iter(walk.phases(task)))
    assert len(phase.data) == len(walk.task(0).train) + len(task.train)
    assert phase.data.labels.unique().tolist() == list(range(7))


def test_the_loss_is_cross_entropy_over_all_seen_classes(start: Any) -> None:
    walk = start("joint")
    task = walk.grown(1)
    batch = walk.batch(task)
    walk.method.net.eval()
    logits = walk.method.net(batch.x).logits
    assert logits.shape == (24, 7)
    assert torch.equal(
        walk.method.losses(batch, walk.step(task))["classification"],
        torch.nn.functional.cross_entropy(logits, batch.y),
    )
