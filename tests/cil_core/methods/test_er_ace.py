"""ER-ACE: which classes compete for which images, and what the reservoir keeps."""

from __future__ import annotations

from typing import Any

import pytest
import torch
import torch.nn.functional as F

from cil_core.engine.footprint import measure


def incoming_gradient(walk: Any, batch: Any, task: Any) -> torch.Tensor:
    """Of the incoming term, with respect to the head's bias."""
    loss = walk.method.losses(batch, walk.step(task))["classification"]
    gradient: torch.Tensor = torch.autograd.grad(loss, walk.method.net.head.bias)[0]
    return gradient


def test_the_incoming_term_leaves_absent_classes_alone(start: Any) -> None:
    walk = start("er-ace")
    task = walk.grown(1)
    some = task.train.select(task.train.labels != 5)
    batch = next(some.batches(24))
    gradient = incoming_gradient(walk, batch, task)
    assert [bool(value) for value in gradient] == [label in (4, 6) for label in range(7)]


def test_with_the_mask_of_the_task_absent_classes_of_the_task_compete(start: Any) -> None:
    walk = start("er-ace", mask="task")
    task = walk.grown(1)
    batch = next(task.train.select(task.train.labels != 5).batches(24))
    gradient = incoming_gradient(walk, batch, task)
    assert [bool(value) for value in gradient] == [label >= 4 for label in range(7)]


def test_rehearsed_images_compete_with_all_classes(start: Any) -> None:
    walk = start("er-ace")
    task = walk.grown(1)
    batch = next(task.train.batches(24))
    loss = walk.method.losses(batch, walk.step(task))["rehearsal"]
    gradient = torch.autograd.grad(loss, walk.method.net.head.bias)[0]
    assert bool((gradient != 0).all())


def test_as_many_exemplars_as_new_images_are_rehearsed(start: Any) -> None:
    walk = start("er-ace")
    task = walk.grown(1)
    sizes: list[int] = []
    walk.method.net.register_forward_hook(lambda net, inputs, outputs: sizes.append(len(inputs[0])))
    walk.method.losses(next(task.train.batches(24)), walk.step(task))
    assert sizes == [24, 24]


def test_the_first_task_is_plain_cross_entropy_without_rehearsal(start: Any) -> None:
    walk = start("er-ace")
    task = walk.grown(0)
    method = walk.method
    method.net.eval()
    batch = next(task.train.select(task.train.labels != 2).batches(24))
    method.offer(batch, walk.step(task))
    losses = method.losses(batch, walk.step(task))
    assert losses.keys() == {"classification"}
    assert torch.equal(losses["classification"], F.cross_entropy(method.net(batch.x).logits, batch.y))


def test_task_free_it_restricts_and_rehearses_from_the_first_step(start: Any) -> None:
    walk = start("er-ace", task_free=True)
    task = walk.grown(0)
    batch = next(task.train.select(task.train.labels != 2).batches(24))
    assert walk.method.losses(batch, walk.step(task)).keys() == {"classification"}
    assert not incoming_gradient(walk, batch, task)[2]
    walk.method.offer(batch, walk.step(task))
    assert walk.method.losses(batch, walk.step(task)).keys() == {"classification", "rehearsal"}


@pytest.mark.parametrize("epochs", [1, 2])
def test_the_reservoir_is_full_and_of_unaugmented_images_of_the_stream(start: Any, epochs: int) -> None:
    walk = start("er-ace", epochs=epochs)
    method = walk.finish(0)
    train = walk.task(0).train
    known = {
        image.numpy().tobytes(): int(label) for image, label in zip(train.images, train.labels, strict=True)
    }
    assert len(method.memory) == 60
    assert int(method.reservoir.offered) == epochs * len(train)
    assert [known[image.numpy().tobytes()] for image in method.memory.images] == method.memory.labels.tolist()


def test_no_logits_are_kept_or_charged(start: Any) -> None:
    """60 images of 64 bytes, their labels of 8, the count of offers, the network."""
    method = start("er-ace").finish(0)
    network = sum(value.numel() * value.element_size() for value in method.net.state_dict().values())
    assert measure(method).kept_bytes == network + 60 * (64 + 8) + 8
