"""Class orders and the stream of tasks."""

import numpy as np
import pytest
import torch

from cil_core.data.order import class_order, task_stream
from cil_core.data.source import Arrays, Source
from cil_core.spec.errors import DataError, InvalidSpec
from cil_core.spec.jobs import MemoryBudget, Protocol, Track

CIFAR_100 = (
    68, 56, 78, 8, 23, 84, 90, 65, 74, 76, 40, 89, 3, 92, 55, 9, 26, 80, 43, 38, 58, 70, 77, 1, 85, 19, 17,
    50, 28, 53, 13, 81, 45, 82, 6, 59, 83, 16, 15, 44, 91, 41, 72, 60, 79, 52, 20, 10, 31, 54, 37, 95, 14,
    71, 96, 98, 97, 2, 64, 66, 42, 22, 35, 86, 24, 34, 87, 21, 99, 0, 88, 27, 18, 94, 11, 12, 47, 25, 30,
    46, 62, 69, 36, 61, 7, 63, 75, 5, 32, 4, 51, 48, 73, 93, 39, 67, 29, 49, 57, 33,
)  # fmt: skip


def track(first: int = 2, increment: int = 1, order: int | tuple[int, ...] = 1993, holdout: int = 0) -> Track:
    protocol = Protocol(first=first, increment=increment, class_order=order)
    return Track(
        dataset="toy",
        protocol=protocol,
        memory=MemoryBudget(kind="none"),
        backbone="convnet",
        holdout=holdout,
    )


def source(card, per_class: int = 20) -> Source:
    """Image i of class c is filled with the value 80 c + i; the test images of class c with 240 + c."""
    labels = torch.arange(3).repeat(per_class)
    numbers = torch.arange(per_class).repeat_interleave(3)
    train = (80 * labels + numbers).to(torch.uint8)[:, None, None, None].expand(-1, 3, 8, 8).contiguous()
    test_labels = torch.tensor([2, 0, 1])
    test = (240 + test_labels).to(torch.uint8)[:, None, None, None].expand(-1, 3, 8, 8).contiguous()
    return Source(
        card.model_copy(update={"train_images": 3 * per_class, "test_images": 3}),
        Arrays(train, labels, test, test_labels),
    )


def test_the_customary_order_of_cifar_100_is_the_one_of_published_results() -> None:
    assert class_order(Protocol(first=10, increment=10), 100) == CIFAR_100


@pytest.mark.parametrize("seed", [0, 1, 1994, 2**32 - 1])
def test_an_order_by_seed_is_numpys_legacy_permutation(seed: int) -> None:
    state = np.random.RandomState(seed)
    assert class_order(Protocol(first=2, increment=2, class_order=seed), 10) == tuple(state.permutation(10))


def test_the_global_generator_of_numpy_is_left_alone() -> None:
    before = np.random.get_state()[1].copy()
    class_order(Protocol(first=2, increment=2), 10)
    assert np.array_equal(before, np.random.get_state()[1])


def test_an_explicit_order_is_taken_as_it_is() -> None:
    assert class_order(Protocol(first=2, increment=1, class_order=(2, 0, 1)), 3) == (2, 0, 1)


def test_an_explicit_order_of_another_length_is_refused() -> None:
    with pytest.raises(InvalidSpec, match="names 3 classes; the dataset has 10") as refused:
        class_order(Protocol(first=2, increment=1, class_order=(2, 0, 1)), 10)
    assert refused.value.field == ("track", "protocol", "class_order")


def test_labels_become_positions_in_the_class_order(card) -> None:
    tasks = task_stream(source(card), track(order=(2, 0, 1)))
    assert len(tasks) == 2
    for task, bounds in zip(tasks, [(0, 2), (2, 3)], strict=True):
        for part in (task.train, task.test):
            assert set(part.labels.tolist()) == set(range(*bounds))
    original = {
        int(label): int(image[0, 0, 0]) // 80
        for task in tasks
        for image, label in zip(task.train.images, task.train.labels, strict=True)
    }
    assert original == {0: 2, 1: 0, 2: 1}
    assert [image[0, 0, 0].item() for image in tasks[1].test.images] == [241]


def test_every_image_is_in_exactly_one_task(card) -> None:
    tasks = task_stream(source(card), track())
    assert sum(len(task.train) for task in tasks) == 60
    assert sum(len(task.test) for task in tasks) == 3


def test_a_holdout_takes_its_share_of_every_class_and_hides_the_test_set(card) -> None:
    tasks = task_stream(source(card), track(holdout=10))
    held_out = torch.cat([task.test.images[:, 0, 0, 0] for task in tasks])
    kept = torch.cat([task.train.images[:, 0, 0, 0] for task in tasks])
    assert torch.bincount(held_out // 80).tolist() == [2, 2, 2]
    assert held_out.max() < 240
    assert sorted(torch.cat([held_out, kept]).tolist()) == sorted(
        source(card).arrays.train_images[:, 0, 0, 0].tolist()
    )


def test_the_same_images_are_held_out_under_every_class_order(card) -> None:
    chosen = [
        sorted(
            torch.cat(
                [
                    task.test.images[:, 0, 0, 0]
                    for task in task_stream(source(card), track(order=order, holdout=25))
                ]
            ).tolist()
        )
        for order in (1993, 5, (2, 1, 0))
    ]
    assert chosen[0] == chosen[1] == chosen[2]


@pytest.mark.parametrize(("holdout", "per_class"), [(1, 20), (50, 1)])
def test_a_holdout_that_leaves_a_side_empty_is_refused(card, holdout: int, per_class: int) -> None:
    with pytest.raises(DataError, match=r"leaves no image to (train|test) on"):
        task_stream(source(card, per_class), track(holdout=holdout))
