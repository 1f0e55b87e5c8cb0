"""The exemplar memory: quotas, truncation, and what is stored."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from cil_core.data.arrays import ArrayDataset
from cil_core.data.augment import Transform
from cil_core.engine.checkpoint import restore
from cil_core.learning.memory import Memory, select
from cil_core.spec.catalog import DATASETS
from cil_core.spec.jobs import MemoryBudget

DIGITS = Transform(DATASETS["digits"])


def images_of(*counts: int) -> ArrayDataset:
    """So many images of class 0, 1, …; every image is unlike all others."""
    labels = torch.repeat_interleave(torch.arange(len(counts)), torch.tensor(counts))
    generator = torch.Generator().manual_seed(0)
    return ArrayDataset(
        torch.randint(256, (len(labels), 1, 8, 8), generator=generator, dtype=torch.uint8), labels, DIGITS
    )


def pixels(data: ArrayDataset) -> Tensor:
    flat = data.images.flatten(1).double()
    return flat / flat.norm(dim=1, keepdim=True)


def memory_of(data: ArrayDataset) -> Memory:
    memory = Memory(DIGITS, torch.device("cpu"))
    memory.replace(data)
    return memory


# ------------------------------------------------------------------ quotas


@pytest.mark.parametrize(
    ("kind", "amount", "seen", "quota"),
    [
        ("total", 2000, 100, 20),
        ("total", 2000, 60, 33),
        ("total", 50, 8, 6),
        ("total", 3, 4, 0),
        ("per_class", 20, 7, 20),
        ("bytes", 1000, 3, 5),
        ("none", 0, 5, 0),
    ],
)
def test_a_quota_is_the_budget_shared_and_rounded_down(kind: str, amount: int, seen: int, quota: int) -> None:
    assert MemoryBudget(kind=kind, amount=amount).quota(seen, bytes_per_exemplar=64) == quota  # type: ignore[arg-type]


@given(amount=st.integers(1, 5000), seen=st.integers(1, 300))
def test_a_total_budget_is_never_exceeded_and_almost_used_up(amount: int, seen: int) -> None:
    used = MemoryBudget(kind="total", amount=amount).quota(seen, 1) * seen
    assert amount - seen < used <= amount


# ------------------------------------------------------------------ selection of a task's exemplars


def test_every_class_gets_its_quota_and_a_small_class_is_kept_whole() -> None:
    chosen = select(images_of(12, 3, 9), 5, "herding_greedy", pixels)
    assert chosen.labels.tolist() == [0] * 5 + [1] * 3 + [2] * 5


def test_classes_are_selected_independently_of_each_other() -> None:
    data = images_of(12, 10)
    together = select(data, 4, "herding_greedy", pixels)
    alone = select(data.of_classes(1, 2), 4, "herding_greedy", pixels)
    assert torch.equal(together.of_classes(1, 2).images, alone.images)


def test_exemplars_are_unchanged_pixels_of_the_candidates_without_duplicates() -> None:
    data = images_of(12, 10)
    chosen = select(data, 6, "herding_greedy", pixels)
    assert chosen.images.dtype == torch.uint8
    known = {
        image.numpy().tobytes(): int(label) for image, label in zip(data.images, data.labels, strict=True)
    }
    kept = [image.numpy().tobytes() for image in chosen.images]
    assert len(set(kept)) == 12
    assert [known[image] for image in kept] == chosen.labels.tolist()


# ------------------------------------------------------------------ truncation


def test_truncation_keeps_the_first_of_every_class_in_order() -> None:
    memory = memory_of(select(images_of(12, 10, 9), 6, "herding_greedy", pixels))
    truncated = memory.truncated(4)
    assert truncated.labels.tolist() == [0] * 4 + [1] * 4 + [2] * 4
    for label in range(3):
        assert torch.equal(
            truncated.of_classes(label, label + 1).images, memory.data.of_classes(label, label + 1).images[:4]
        )


def test_truncating_equals_selecting_fewer() -> None:
    data = images_of(12, 10, 9)
    truncated = memory_of(select(data, 8, "herding_greedy", pixels)).truncated(3)
    assert torch.equal(truncated.images, select(data, 3, "herding_greedy", pixels).images)


def test_an_empty_memory_truncates_to_nothing() -> None:
    assert len(Memory(DIGITS, torch.device("cpu")).truncated(5)) == 0


def test_a_class_below_the_quota_is_not_truncated() -> None:
    assert memory_of(images_of(2, 5)).truncated(4).labels.tolist() == [0, 0, 1, 1, 1, 1]


# ------------------------------------------------------------------ storage


def test_the_memory_keeps_copies() -> None:
    data = images_of(3)
    before = data.images.clone()
    memory = memory_of(data)
    data.images.zero_()
    assert torch.equal(memory.data.images, before)


def test_the_memory_is_restored_from_its_state() -> None:
    memory = memory_of(images_of(3, 2))
    again = Memory(DIGITS, torch.device("cpu"))
    restore(again, memory.state_dict())
    assert len(again) == 5
    assert torch.equal(again.images, memory.images)
    assert torch.equal(again.labels, memory.labels)
