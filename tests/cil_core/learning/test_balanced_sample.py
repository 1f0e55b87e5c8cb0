"""The balanced sampler of GDumb: counts by hand, and its distribution."""

from __future__ import annotations

import pytest
import torch

from cil_core.data.arrays import ArrayDataset
from cil_core.data.augment import Transform
from cil_core.learning.balanced_sample import balanced_counts, balanced_sample
from cil_core.learning.memory import Memory
from cil_core.spec.catalog import DATASETS
from cil_core.spec.jobs import MemoryBudget

DIGITS = Transform(DATASETS["digits"])


def images(*labels: int) -> ArrayDataset:
    """Images whose every pixel is their position."""
    pixels = torch.arange(len(labels), dtype=torch.uint8)[:, None, None, None].expand(-1, 1, 8, 8)
    return ArrayDataset(pixels.contiguous(), torch.tensor(labels), DIGITS)


@pytest.mark.parametrize(
    ("available", "places", "counts"),
    [
        ([100, 100, 100], 9, [3, 3, 3]),
        ([100, 100, 100], 11, [3, 4, 4]),
        ([1, 100, 100], 11, [1, 5, 5]),
        ([2, 3], 10, [2, 3]),
        ([5, 5, 5], 2, [0, 1, 1]),
        ([5], 0, [0]),
    ],
)
def test_counts_differ_by_at_most_one_while_images_last(available, places, counts) -> None:
    assert balanced_counts(available, places) == counts


def test_a_class_that_was_cut_never_grows_again() -> None:
    kept = [100]
    for new in range(1, 12):
        later = balanced_counts([*kept, 100], 50)
        assert all(now <= before for now, before in zip(later, kept, strict=False)), new
        assert max(later) - min(later) <= 1
        kept = later


def sample(memory: Memory, fresh: ArrayDataset, budget: MemoryBudget, seed: int = 0) -> ArrayDataset:
    return balanced_sample(memory, fresh, budget, 64, torch.Generator().manual_seed(seed))


def test_old_classes_keep_the_first_of_their_order_and_new_ones_a_random_part() -> None:
    memory = Memory(DIGITS, torch.device("cpu"))
    memory.replace(sample(memory, images(*[0] * 50), MemoryBudget(kind="total", amount=10)))
    first = memory.images[:, 0, 0, 0].tolist()
    assert len(set(first)) == 10
    assert first != sorted(first)
    later = sample(memory, images(*[1] * 50), MemoryBudget(kind="total", amount=10))
    assert later.labels.tolist() == [0] * 5 + [1] * 5
    assert later.images[:5, 0, 0, 0].tolist() == first[:5]


def test_every_image_is_as_likely() -> None:
    memory = Memory(DIGITS, torch.device("cpu"))
    counts = torch.zeros(8)
    for seed in range(400):
        kept = sample(memory, images(*[3] * 8), MemoryBudget(kind="total", amount=2), seed)
        counts[kept.images[:, 0, 0, 0].long()] += 1
    assert counts.min() > 60  # 100 expected of each, with a deviation of 9
    assert counts.max() < 140


@pytest.mark.parametrize(
    ("budget", "expected"),
    [
        (MemoryBudget(kind="per_class", amount=3), [2, 3]),
        (MemoryBudget(kind="bytes", amount=64 * 7), [2, 5]),
        (MemoryBudget(kind="total", amount=1000), [2, 6]),
    ],
)
def test_the_budget_s_kind_decides_on_the_counts(budget: MemoryBudget, expected: list[int]) -> None:
    memory = Memory(DIGITS, torch.device("cpu"))
    kept = sample(memory, images(*[0] * 2, *[1] * 6), budget)
    assert kept.labels.bincount().tolist() == expected
