"""The reservoir: a uniform sample of its offers, each with its own logits."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from cil_core.data.arrays import ArrayDataset
from cil_core.data.augment import Transform
from cil_core.engine.checkpoint import restore
from cil_core.learning.memory import Memory
from cil_core.learning.reservoir import Reservoir, capacity
from cil_core.spec.catalog import DATASETS
from cil_core.spec.jobs import MemoryBudget

DIGITS = Transform(DATASETS["digits"])


def numbered(low: int, high: int) -> ArrayDataset:
    """Images whose every pixel is their number; the label is its last digit."""
    numbers = torch.arange(low, high)
    return ArrayDataset(
        numbers.to(torch.uint8)[:, None, None, None].expand(-1, 1, 8, 8).contiguous(), numbers % 10, DIGITS
    )


def logits_of(data: ArrayDataset, classes: int) -> Tensor:
    """Logits that tell the image: its number, in every class."""
    return data.images[:, 0, 0, :1].float().expand(-1, classes)


class Store:
    """A memory and its reservoir."""

    def __init__(self, places: int) -> None:
        self.memory = Memory(DIGITS, torch.device("cpu"))
        self.reservoir = Reservoir()
        self.places = places

    def offer(self, low: int, high: int, classes: int = 3, seed: int = 0) -> None:
        data = numbered(low, high)
        self.reservoir.offer(
            self.memory,
            data,
            logits_of(data, classes),
            self.places,
            torch.Generator().manual_seed(1000 * seed + low),
        )

    @property
    def numbers(self) -> list[int]:
        return self.memory.images[:, 0, 0, 0].tolist()

    def check_pairs(self) -> None:
        """Labels and logits belong to the images beside them."""
        numbers = torch.tensor(self.numbers)
        assert torch.equal(self.memory.labels, numbers % 10)
        for number, row, width in zip(
            numbers, self.reservoir.logits, self.reservoir.widths.tolist(), strict=True
        ):
            assert row[:width].tolist() == [number] * width
            assert not row[width:].any()


def test_while_there_is_room_everything_is_kept_in_order() -> None:
    store = Store(20)
    store.offer(0, 8)
    store.offer(8, 20)
    assert store.numbers == list(range(20))
    store.check_pairs()


def test_a_full_reservoir_stays_full_and_keeps_what_belongs_together() -> None:
    store = Store(20)
    for low in range(0, 200, 8):
        store.offer(low, low + 8)
        assert len(store.memory) == min(20, low + 8)
        store.check_pairs()
    assert len(set(store.numbers)) == 20
    assert int(store.reservoir.offered) == 200


@pytest.mark.parametrize(("size", "trials"), [(1, 200), (7, 500), (40, 1000)])
def test_every_offer_is_equally_likely_to_be_kept(size: int, trials: int) -> None:
    """Of 40 offers 8 stay: each image is kept in a fifth of the trials, wherever in the stream it was."""
    kept = torch.zeros(40)
    for seed in range(trials):
        store = Store(8)
        for low in range(0, 40, size):
            store.offer(low, min(40, low + size), seed=seed)
        kept[store.numbers] += 1
    deviation = (0.2 * 0.8 / trials) ** 0.5
    share = kept / trials
    assert (share - 0.2).abs().max() < 4 * deviation
    assert (share.view(4, 10).mean(dim=1) - 0.2).abs().max() < 4 * deviation / 10**0.5


def test_logits_have_the_width_recorded_when_they_were_stored() -> None:
    store = Store(10)
    store.offer(0, 8, classes=2)
    store.offer(8, 14, classes=5)
    assert store.reservoir.logits.shape == (10, 5)
    assert set(store.reservoir.widths.tolist()) == {2, 5}
    assert all(
        width == (5 if number >= 8 else 2)
        for number, width in zip(store.numbers, store.reservoir.widths.tolist(), strict=True)
    )
    store.check_pairs()


def test_a_reservoir_that_grows_fills_its_new_places_first() -> None:
    store = Store(4)
    store.offer(0, 50)
    store.places = 6
    store.offer(50, 52)
    assert store.numbers[4:] == [50, 51]


def test_a_restored_reservoir_continues_bit_for_bit() -> None:
    store, again = Store(10), Store(10)
    store.offer(0, 40)
    restore(again.memory, store.memory.state_dict())
    restore(again.reservoir, store.reservoir.state_dict())
    for one in (store, again):
        one.offer(40, 80, classes=4)
    assert store.numbers == again.numbers
    assert torch.equal(store.reservoir.logits, again.reservoir.logits)


@pytest.mark.parametrize(
    ("kind", "amount", "places"),
    [("total", 500, 500), ("per_class", 20, 140), ("bytes", 10_000, 10_000 // (64 + 4 * 10)), ("none", 0, 0)],
)
def test_logits_share_a_budget_in_bytes(kind: str, amount: int, places: int) -> None:
    assert capacity(MemoryBudget(kind=kind, amount=amount), seen=7, image_bytes=64, logits=10) == places  # type: ignore[arg-type]
