"""Shrinkage, correlations and distances, against numbers by hand and explicit inverses."""

from __future__ import annotations

import math

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from cil_core.nets.heads import CosineHead
from cil_core.nets.mahalanobis import MahalanobisHead, correlation_factors, correlations, shrunk
from cil_core.spec.errors import Diverged

MATRIX = torch.tensor([[[2.0, 1.0], [1.0, 4.0]]], dtype=torch.float64)


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def matrix(*rows: tuple[float, float]) -> Tensor:
    return torch.tensor([rows], dtype=torch.float64)


def head_of(means: Tensor, factors: Tensor, exponent: float = 1.0) -> MahalanobisHead:
    trained = CosineHead(means.shape[1])
    trained.grow(len(means), generator())
    head = MahalanobisHead.replacing(trained, exponent)
    head.describe(0, means, factors)
    return head


def test_shrinkage_by_hand() -> None:
    """Mean variance 3, mean covariance 1."""
    once = shrunk(MATRIX, 1.0, 1.0)
    assert torch.equal(once, matrix((5, 2), (2, 7)))
    assert torch.equal(shrunk(once, 1.0, 1.0), matrix((11, 4), (4, 13)))
    assert torch.equal(shrunk(MATRIX, 1.0, 0.0), matrix((5, 1), (1, 7)))


def test_correlations_by_hand() -> None:
    once, twice = correlations(matrix((5, 2), (2, 7))), correlations(matrix((11, 4), (4, 13)))
    assert float(once[0, 0, 1]) == pytest.approx(0.338062, abs=1e-6)
    assert float(twice[0, 0, 1]) == pytest.approx(0.334497, abs=1e-6)
    assert once[0].diagonal().tolist() == twice[0].diagonal().tolist() == [1, 1]


def test_the_mean_covariance_is_that_of_entries_that_are_not_zero() -> None:
    sparse = torch.eye(3, dtype=torch.float64)[None].clone()
    sparse[0, 0, 1] = sparse[0, 1, 0] = 0.5
    assert float(shrunk(sparse, 0.0, 1.0)[0, 0, 2]) == 0.5


@pytest.mark.parametrize(("covariance", "times"), [(1.0, 2), (1.0, 1), (0.0, 1)])
def test_factors_are_those_of_the_shrunk_correlations(covariance: float, times: int) -> None:
    expected = MATRIX
    for _ in range(times):
        expected = shrunk(expected, 1.0, covariance)
    factors, indefinite = correlation_factors(MATRIX, 1.0, covariance, times)
    assert torch.allclose(factors @ factors.mT, correlations(expected))
    assert indefinite.tolist() == [False]


def test_the_squared_length_of_a_step_along_an_axis() -> None:
    """S = [[1, ρ], [ρ, 1]]: (1, 0) has the squared length 1 / (1 − ρ²)."""
    rho = 0.6
    factor = torch.linalg.cholesky(matrix((1, rho), (rho, 1)))
    head = head_of(torch.zeros(1, 2), factor)
    assert float(head(torch.tensor([[5.0, 0.0]]))) == pytest.approx(-1 / (1 - rho**2), rel=1e-6)


def test_distances_are_those_of_explicit_inverses() -> None:
    features = torch.randn(50, 6, generator=generator(1))
    covariances = torch.stack([torch.cov(torch.randn(6, 30, generator=generator(seed))) for seed in (2, 3)])
    means = torch.randn(2, 6, generator=generator(4))
    head = head_of(means, correlation_factors(covariances.double(), 1.0, 0.0, 1)[0])
    inverses = torch.linalg.inv(correlations(shrunk(covariances.double(), 1.0, 0.0)))
    offsets = F.normalize(features, dim=1).double()[:, None] - means.double()  # (50, 2, 6)
    expected = -torch.einsum("bci,cij,bcj->bc", offsets, inverses, offsets)
    assert torch.allclose(head(features).double(), expected, rtol=1e-5)


def test_identity_correlations_classify_by_the_nearest_mean() -> None:
    means, features = torch.randn(4, 5, generator=generator(1)), torch.randn(30, 5, generator=generator(2))
    head = head_of(means, torch.eye(5).expand(4, 5, 5))
    nearest = torch.cdist(F.normalize(features, dim=1), means).argmin(dim=1)
    assert torch.equal(head(features).argmax(dim=1), nearest)


def test_distances_are_never_negative_and_zero_at_the_mean() -> None:
    means = F.normalize(torch.randn(3, 5, generator=generator(1)), dim=1)
    factors, _ = correlation_factors(
        torch.stack([torch.cov(torch.randn(5, 20, generator=generator(seed))) for seed in range(3)]).double(),
        1.0,
        0.0,
        1,
    )
    head = head_of(means, factors)
    assert bool((head(torch.randn(40, 5, generator=generator(9))) <= 0).all())
    assert torch.allclose(head(means).diagonal(), torch.zeros(3), atol=1e-6)


def test_the_length_of_a_feature_does_not_matter() -> None:
    features = torch.rand(20, 4, generator=generator(1))
    head = head_of(torch.rand(2, 4, generator=generator(2)), torch.eye(4).expand(2, 4, 4), exponent=0.5)
    assert torch.allclose(head(features), head(7 * features), atol=1e-5)


def test_roots_of_features_are_scaled_to_unit_norm() -> None:
    head = MahalanobisHead(2, 0.5)
    assert torch.allclose(head.unit(torch.tensor([[9.0, 16.0]])), torch.tensor([[3 / 5, 4 / 5]]))


def test_a_class_without_spread_gets_the_identity() -> None:
    factors, indefinite = correlation_factors(torch.zeros(1, 3, 3, dtype=torch.float64), 1.0, 1.0, 2)
    assert torch.equal(factors[0], torch.eye(3, dtype=torch.float64))
    assert not bool(indefinite.any())


def test_an_indefinite_class_is_shrunk_by_variance_alone_and_reported() -> None:
    """Correlations near −1 between two of many dimensions: a large mean covariance leaves no factor."""
    width = 8
    sparse = torch.eye(width, dtype=torch.float64)
    sparse[0, 1] = sparse[1, 0] = -0.99
    plain = torch.eye(width, dtype=torch.float64)
    factors, indefinite = correlation_factors(torch.stack([plain, sparse]), 1.0, 1.0, 2)
    assert indefinite.tolist() == [False, True]
    expected = correlations(shrunk(shrunk(sparse[None], 1.0, 0.0), 1.0, 0.0))[0]
    assert torch.allclose(factors[1] @ factors[1].T, expected)


def test_fewer_images_than_dimensions_give_a_factor() -> None:
    few = torch.cov(torch.randn(40, 3, generator=generator(1)).double())[None]
    factors, indefinite = correlation_factors(few, 1.0, 0.0, 1)
    assert bool(factors.isfinite().all())
    assert not bool(indefinite.any())
    assert math.isclose(float(factors[0, 0, 0]), 1)


def test_covariances_that_are_not_finite_are_refused() -> None:
    with pytest.raises(Diverged, match="not finite"):
        correlation_factors(torch.full((1, 2, 2), torch.nan, dtype=torch.float64), 1.0, 1.0, 2)


def test_new_classes_leave_old_statistics_as_they_are() -> None:
    head = head_of(
        torch.rand(2, 4, generator=generator(1)), torch.rand(2, 4, 4, generator=generator(2)).tril()
    )
    means, factors = head.means.clone(), head.factors.clone()
    head.grow(3, generator())
    head.describe(2, torch.rand(3, 4, generator=generator(3)), torch.eye(4).expand(3, 4, 4))
    assert torch.equal(head.means[:2], means)
    assert torch.equal(head.factors[:2], factors)
    assert head.classes == 5
