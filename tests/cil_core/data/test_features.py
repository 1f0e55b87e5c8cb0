"""Features as training data."""

from __future__ import annotations

import pytest
import torch

from cil_core.data.features import FeatureDataset

DATA = FeatureDataset(torch.arange(14.0).reshape(7, 2), torch.tensor([3, 3, 4, 4, 5, 5, 5]))


@pytest.mark.parametrize("shuffle", [False, True])
@pytest.mark.parametrize("size", [1, 3, 7, 10])
def test_one_pass_shows_every_feature_once_with_its_own_label(size: int, shuffle: bool) -> None:
    batches = list(DATA.batches(size, torch.Generator().manual_seed(0) if shuffle else None, augment=shuffle))
    assert max(map(len, batches)) <= size
    index = torch.cat([batch.index for batch in batches])
    assert sorted(index.tolist()) == list(range(7))
    assert torch.equal(torch.cat([batch.x for batch in batches]), DATA.features[index])
    assert torch.equal(torch.cat([batch.y for batch in batches]), DATA.labels[index])


def test_without_a_generator_a_pass_is_in_order() -> None:
    assert torch.equal(torch.cat([batch.index for batch in DATA.batches(3)]), torch.arange(7))


def test_equal_generators_give_equal_orders() -> None:
    first, second = (
        torch.cat([batch.index for batch in DATA.batches(3, torch.Generator().manual_seed(5))])
        for _ in range(2)
    )
    assert torch.equal(first, second)
    assert not torch.equal(first, torch.arange(7))


def test_features_without_a_label_each_are_refused() -> None:
    with pytest.raises(ValueError, match=r"\(7, 2\) with \(6,\)"):
        FeatureDataset(DATA.features, DATA.labels[:6])
