"""Herding: against a literal loop over the published algorithm, and by its properties."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from cil_core.learning.selection import SELECTIONS, herding_greedy, herding_welling

every_selection = pytest.mark.parametrize("select", SELECTIONS.values(), ids=SELECTIONS.keys())


def unit_features(count: int, width: int = 8, seed: int = 0) -> Tensor:
    """Rows of unit norm around one direction, as the features of a class are."""
    generator = torch.Generator().manual_seed(seed)
    return F.normalize(torch.randn(count, width, generator=generator, dtype=torch.float64) + 2, dim=1)


def greedy_by_the_book(features: Tensor, count: int) -> list[int]:
    mean = features.mean(dim=0)
    picked: list[int] = []
    while len(picked) < count:
        free = [index for index in range(len(features)) if index not in picked]
        picked.append(
            min(free, key=lambda index: float((mean - features[[*picked, index]].mean(dim=0)).norm()))
        )
    return picked


def test_greedy_herding_is_the_published_algorithm() -> None:
    features = unit_features(30)
    assert herding_greedy(features, 12).tolist() == greedy_by_the_book(features, 12)


def test_greedy_herding_by_hand() -> None:
    features = torch.tensor([[1.0, 0], [0, 1], [0.6, 0.8], [0.96, 0.28]])
    # The mean is (0.64, 0.52). Row 2 is nearest, at 0.28. With it, rows 0, 1, 3 give means at 0.20, 0.51,
    # 0.14; then rows 0, 1 at 0.27, 0.21.
    assert herding_greedy(features, 3).tolist() == [2, 3, 1]


def test_greedy_herding_breaks_ties_by_the_lowest_index() -> None:
    assert herding_greedy(torch.ones(4, 2), 3).tolist() == [0, 1, 2]


def test_wellings_herding_follows_the_mean_with_a_weight_vector() -> None:
    features = unit_features(20)
    mean = features.mean(dim=0)
    weight, picked = mean.clone(), []
    while len(picked) < 6:
        best = int(torch.stack([row @ weight for row in features]).argmax())
        if best not in picked:
            picked.append(best)
        weight = weight + mean - features[best]
    assert herding_welling(features, 6).tolist() == picked


def test_the_two_herdings_differ_at_large_quotas() -> None:
    features = unit_features(200, width=64)
    greedy, welling = herding_greedy(features, 150), herding_welling(features, 150)
    assert greedy[0] == welling[0]
    assert (greedy == welling).sum() < 75


@every_selection
@given(count=st.integers(1, 25), fewer=st.integers(0, 30), more=st.integers(0, 30), seed=st.integers(0, 50))
def test_fewer_are_the_first_of_more(select: object, count: int, fewer: int, more: int, seed: int) -> None:
    """Truncating an old class then equals selecting fewer; it also holds for classes below the quota."""
    fewer, more = sorted((fewer, more))
    features = unit_features(count, seed=seed)
    long, short = (select(features, wanted).tolist() for wanted in (more, fewer))  # type: ignore[operator]
    assert short == long[: len(short)]
    assert len(short) == min(fewer, count)
    assert len(set(long)) == len(long) == min(more, count)


@every_selection
def test_images_that_are_all_equal_are_each_picked_once(select: object) -> None:
    assert sorted(select(torch.ones(5, 3), 5).tolist()) == [0, 1, 2, 3, 4]  # type: ignore[operator]


@every_selection
def test_a_selection_is_nearer_to_the_class_mean_than_a_random_one(select: object) -> None:
    features = unit_features(100, width=16)
    mean = features.mean(dim=0)
    chosen = (features[select(features, 10)].mean(dim=0) - mean).norm()  # type: ignore[operator]
    random = [torch.randperm(100, generator=torch.Generator().manual_seed(seed))[:10] for seed in range(50)]
    assert chosen < min((features[index].mean(dim=0) - mean).norm() for index in random)
