"""Datasets of arrays and their batches."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from cil_core.data.arrays import ArrayDataset
from cil_core.data.augment import Transform
from cil_core.spec.errors import DataError

from .conftest import CARD


def seeded(seed: int = 1) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def numbered(count: int) -> ArrayDataset:
    """Image i is filled with the value i."""
    images = torch.arange(count, dtype=torch.uint8)[:, None, None, None].expand(count, 3, 8, 8).contiguous()
    return ArrayDataset(images, torch.arange(count) % 3, Transform(CARD))


@given(count=st.integers(0, 40), size=st.integers(1, 50), shuffle=st.booleans())
def test_one_pass_shows_every_image_once_with_its_own_label(count: int, size: int, shuffle: bool) -> None:
    batches = list(numbered(count).batches(size, seeded() if shuffle else None))
    assert sorted(index for batch in batches for index in batch.index.tolist()) == list(range(count))
    for batch in batches:
        assert batch.raw[:, 0, 0, 0].tolist() == batch.index.tolist()
        assert batch.y.tolist() == [index % 3 for index in batch.index.tolist()]
        assert 1 <= len(batch) <= size


def test_dropping_the_last_batch_leaves_full_batches_only() -> None:
    assert [len(batch) for batch in numbered(30).batches(8, drop_last=True)] == [8, 8, 8]
    assert [len(batch) for batch in numbered(30).batches(8)] == [8, 8, 8, 6]


def test_without_a_generator_a_pass_is_in_order_and_only_normalised(dataset: ArrayDataset) -> None:
    batches = list(dataset.batches(7))
    assert torch.cat([batch.index for batch in batches]).tolist() == list(range(30))
    assert torch.equal(torch.cat([batch.x for batch in batches]), dataset.transform.plain(dataset.images))


def test_equal_generators_give_equal_batches_and_the_global_one_is_left_alone(dataset: ArrayDataset) -> None:
    before = torch.get_rng_state()
    first, second = (
        torch.cat([batch.x for batch in dataset.batches(4, seeded(), augment=True)]) for _ in range(2)
    )
    other = torch.cat([batch.x for batch in dataset.batches(4, seeded(2), augment=True)])
    assert torch.equal(first, second)
    assert not torch.equal(first, other)
    assert torch.equal(before, torch.get_rng_state())


def test_augmentation_changes_x_and_never_the_stored_pixels(dataset: ArrayDataset) -> None:
    stored = dataset.images.clone()
    batch = next(dataset.batches(30, seeded(), augment=True))
    assert not torch.equal(batch.x, dataset.transform.plain(batch.raw))
    assert torch.equal(batch.raw, stored[batch.index])
    assert torch.equal(dataset.images, stored)


def test_augmentation_without_a_generator_is_refused(dataset: ArrayDataset) -> None:
    with pytest.raises(ValueError, match="needs a generator"):
        next(dataset.batches(4, augment=True))


def test_datasets_join_in_order() -> None:
    joined = numbered(3) + numbered(5)
    assert joined.images[:, 0, 0, 0].tolist() == [0, 1, 2, 0, 1, 2, 3, 4]
    assert joined.labels.tolist() == [0, 1, 2, 0, 1, 2, 0, 1]


def test_classes_are_picked_by_a_half_open_range(dataset: ArrayDataset) -> None:
    assert set(dataset.of_classes(1, 3).labels.tolist()) == {1, 2}
    assert len(dataset.of_classes(0, 1)) == 10
    assert len(dataset.of_classes(1, 1)) == 0


def test_images_are_selected_in_the_requested_order() -> None:
    assert numbered(9).select(torch.tensor([4, 0, 4])).images[:, 0, 0, 0].tolist() == [4, 0, 4]


def test_flipping_twice_gives_the_images_back(dataset: ArrayDataset) -> None:
    assert not torch.equal(dataset.flipped().images, dataset.images)
    assert torch.equal(dataset.flipped().flipped().images, dataset.images)


def test_other_augmentations_leave_the_card_and_the_images_as_they_are(dataset: ArrayDataset) -> None:
    changed = dataset.augmented_by("cutout:4")
    assert changed.transform.tokens == ("cutout:4",)
    assert changed.transform.card is dataset.transform.card
    assert changed.images is dataset.images


@given(per_class=st.integers(0, 9), seed=st.integers(0, 2**32))
def test_a_balanced_split_holds_out_exactly_so_many_of_each_class(per_class: int, seed: int) -> None:
    whole = numbered(30)
    train, held_out = whole.split_balanced(per_class, seeded(seed))
    assert torch.bincount(held_out.labels, minlength=3).tolist() == [per_class] * 3
    together = train.images[:, 0, 0, 0].tolist() + held_out.images[:, 0, 0, 0].tolist()
    assert sorted(together) == list(range(30))


def test_a_balanced_split_depends_on_its_generator() -> None:
    chosen = [
        numbered(30).split_balanced(4, seeded(seed))[1].images[:, 0, 0, 0].tolist() for seed in (1, 1, 2)
    ]
    assert chosen[0] == chosen[1] != chosen[2]


def test_a_balanced_split_that_would_use_up_a_class_is_refused() -> None:
    with pytest.raises(DataError, match=r"class 0 .* has 10 image\(s\)"):
        numbered(30).split_balanced(10, seeded())


@pytest.mark.parametrize(
    ("images", "labels"),
    [
        (torch.zeros(2, 3, 8, 8), torch.zeros(2, dtype=torch.long)),
        (torch.zeros(2, 3, 8, dtype=torch.uint8), torch.zeros(2, dtype=torch.long)),
        (torch.zeros(2, 3, 8, 8, dtype=torch.uint8), torch.zeros(3, dtype=torch.long)),
        (torch.zeros(2, 3, 8, 8, dtype=torch.uint8), torch.zeros(2, dtype=torch.int32)),
    ],
)
def test_arrays_that_are_not_images_with_labels_are_refused(
    images: torch.Tensor, labels: torch.Tensor
) -> None:
    with pytest.raises(ValueError, match="not"):
        ArrayDataset(images, labels, Transform(CARD))
