"""The loss against collapse."""

from __future__ import annotations

import pytest
import torch

from cil_core.learning.collapse import anti_collapse, spread_loss


@pytest.mark.parametrize(
    ("covariance", "loss"), [([[4.0, 0], [0, 0.25]], -0.75), ([[1.0, 0.8], [0.8, 1]], -0.8)]
)
def test_the_loss_by_hand(covariance: list[list[float]], loss: float) -> None:
    assert spread_loss(torch.tensor(covariance), 1.0).item() == pytest.approx(loss)


def test_it_reads_the_unbiased_covariance_of_the_batch() -> None:
    features = torch.tensor([[2.0, 0], [-2, 0], [0, 0.5], [0, -0.5]])  # variances 8/3 and 1/6
    expected = -(1 + (1 / 6 + 1e-4) ** 0.5) / 2
    assert anti_collapse(features, 1.0).item() == pytest.approx(expected)


def test_a_step_widens_a_collapsed_direction_and_leaves_wide_ones() -> None:
    scales = torch.tensor([10.0, 10, 0.1])
    features = (torch.randn(50, 3, generator=torch.Generator().manual_seed(0)) * scales).requires_grad_()
    (gradient,) = torch.autograd.grad(anti_collapse(features, 1.0), features)
    before, after = features.std(dim=0), (features - 10 * gradient).std(dim=0)
    assert after[2] > 1.5 * before[2]
    assert torch.allclose(after[:2], before[:2], rtol=0.01)


def test_a_batch_of_no_more_features_than_dimensions_has_no_loss() -> None:
    assert anti_collapse(torch.ones(3, 3), 1.0).item() == 0
    assert anti_collapse(torch.ones(1, 1), 1.0).item() == 0
