"""SSRE's likeness to old prototypes and the losses it weighs."""

from __future__ import annotations

import pytest
import torch

from cil_core.learning.selection_weights import like_distillation, likeness, unlike_classification


def test_likeness_is_the_largest_cosine() -> None:
    features = torch.tensor([[3.0, 4], [-1, 0], [0, 2]])
    assert likeness(features, torch.tensor([[1.0, 0], [2, 0.0]])).tolist() == pytest.approx([0.6, -1, 0])
    assert likeness(features, torch.tensor([[1.0, 0], [0, 5]])).tolist() == pytest.approx([0.8, 0, 1])


def test_likeness_stays_within_one() -> None:
    features = torch.randn(100, 7, generator=torch.Generator().manual_seed(0))
    assert likeness(features, features).max() <= 1
    assert likeness(features, features).min() > 0.9999


def test_an_image_that_looks_a_quarter_old_counts_three_quarters() -> None:
    logits = torch.tensor([[0.0, torch.tensor(torch.e**2 - 1).log()]])  # cross-entropy 2 for class 0
    loss = unlike_classification(logits, torch.tensor([0]), torch.tensor([0.25]))
    assert loss.item() == pytest.approx(1.5)


def test_an_image_that_is_a_prototype_is_not_classified() -> None:
    loss = unlike_classification(torch.randn(1, 3), torch.tensor([0]), torch.tensor([1.0]))
    assert loss.item() == 0


def test_distillation_is_a_weighted_sum_of_distances() -> None:
    features, old = torch.tensor([[3.0, 4], [1, 1]]), torch.zeros(2, 2)
    old[1] = 1
    loss = like_distillation(features, old, torch.tensor([0.5, 0.9]))
    assert loss.item() == pytest.approx(2.5)


def test_distillation_of_equal_features_is_zero_with_a_finite_gradient() -> None:
    features = torch.ones(2, 3, requires_grad=True)
    loss = like_distillation(features, torch.ones(2, 3), torch.tensor([0.5, 0.5]))
    loss.backward()
    assert loss.item() == 0
    assert features.grad is not None
    assert bool(features.grad.isfinite().all())
