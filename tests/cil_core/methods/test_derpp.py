"""DER++: the reservoir, and both rehearsals."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from cil_core.engine.footprint import measure
from cil_core.engine.run import learn_task
from cil_core.spec.events import EpochFinished


def test_without_rehearsal_it_is_finetuning_over_all_classes(start: Any) -> None:
    def losses(name: str, **changes: Any) -> list[dict[str, float]]:
        walk = start(name, epochs=2, **changes)
        events = [event for index in (0, 1) for event in learn_task(walk.method, walk.task(index))]
        return [event.losses for event in events if isinstance(event, EpochFinished)]

    assert losses("derpp", alpha=0.0, beta=0.0) == losses("finetune", logits="full")


def test_stored_logits_of_an_unchanged_network_are_at_distance_zero(start: Any) -> None:
    walk = start("derpp")
    task = walk.grown(0)
    method = walk.method
    method.transform.train = lambda raw, generator: method.transform.plain(raw)
    method.net.eval()
    batch, step = next(task.train.batches(40)), walk.step(task)
    assert method.losses(batch, step).keys() == {"classification"}
    method.record(batch, step)
    assert len(method.memory) == 40
    assert method.losses(batch, step)["dark knowledge"].item() == pytest.approx(0, abs=1e-10)
    with torch.no_grad():
        method.net.head.bias[2] += 2
    assert method.losses(batch, step)["dark knowledge"].item() == pytest.approx(
        method.recipe.alpha * 2**2 / 4, rel=1e-4
    )


def test_old_logits_are_compared_on_the_classes_of_their_day(start: Any) -> None:
    """A change of the new classes' outputs does not enter the comparison."""
    walk = start("derpp")
    task = walk.grown(1)
    method = walk.method
    method.net.eval()
    assert method.reservoir.widths.tolist() == [4] * 60
    batch, step = next(task.train.batches(24)), walk.step(task)
    before = method.losses(batch, step)
    with torch.no_grad():
        method.net.head.bias[4:].add_(5)
    after = method.losses(batch, step)
    assert torch.equal(before["dark knowledge"], after["dark knowledge"])
    assert before["rehearsal"] < after["rehearsal"]


def test_the_two_rehearsals_draw_independently(start: Any) -> None:
    walk = start("derpp")
    walk.grown(1)
    generator = walk.randomness.on_device("rehearsal", 1, 0)
    (first, _), (second, _) = walk.method.rehearse(24, generator), walk.method.rehearse(24, generator)
    assert len(set(first.tolist())) == len(set(second.tolist())) == 24
    assert set(first.tolist()) != set(second.tolist())


@pytest.mark.parametrize(("weight", "left"), [("beta", "dark knowledge"), ("alpha", "rehearsal")])
def test_a_weight_of_zero_leaves_its_term_out(start: Any, weight: str, left: str) -> None:
    """Without β it is DER without ++; without α plain rehearsal."""
    walk = start("derpp", **{weight: 0.0})
    task = walk.grown(1)
    assert walk.method.losses(walk.batch(task), walk.step(task)).keys() == {"classification", left}


def test_each_epoch_offers_its_images_and_the_reservoir_never_exceeds_the_budget(start: Any) -> None:
    walk = start("derpp", epochs=3)
    sizes = []
    task = walk.grown(0)
    original = walk.method.record

    def recorded(*arguments: Any) -> None:
        original(*arguments)
        sizes.append(len(walk.method.memory))

    walk.method.record = recorded
    for _ in walk.phases(task):
        pass
    assert int(walk.method.reservoir.offered) == 3 * len(task.train)
    assert max(sizes) == sizes[-1] == 60


def test_stored_images_are_unaugmented_images_of_the_task_with_their_labels(start: Any) -> None:
    walk = start("derpp")
    method = walk.finish(0)
    known = {
        image.numpy().tobytes(): int(label)
        for image, label in zip(walk.task(0).train.images, walk.task(0).train.labels, strict=True)
    }
    assert [known[image.numpy().tobytes()] for image in method.memory.images] == method.memory.labels.tolist()


def test_stored_logits_are_charged(start: Any) -> None:
    """60 images of 64 bytes, labels of 8, 4 logits of 4 bytes, their widths; count of offers; network."""
    method = start("derpp").finish(0)
    network = sum(value.numel() * value.element_size() for value in method.net.state_dict().values())
    assert measure(method).kept_bytes == network + 60 * (64 + 8) + 60 * (4 * 4 + 8) + 8


def test_both_old_and_new_classes_are_in_the_reservoir_later(start: Any) -> None:
    walk = start("derpp", epochs=2)
    walk.finish(0)
    labels = walk.finish(1).memory.labels
    assert len(labels) == 60
    assert 0 < (labels < 4).sum() < 60
