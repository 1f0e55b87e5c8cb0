"""Class moments, Gaussians of classes and draws from them."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from cil_core.learning.gaussians import (
    ClassGaussians,
    Sampler,
    balanced_classes,
    carried,
    cholesky_factors,
)
from cil_core.learning.moments import class_covariances, class_moments, covariances
from cil_core.nets.perceptron import Affine


def random(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


FEATURES = random(60, 5) @ random(5, 5, seed=1) + 3
LABELS = 2 + torch.arange(60) % 3


def test_moments_by_hand() -> None:
    moments = class_moments(torch.tensor([[1.0, 0], [3, 2], [5, 5]]), torch.tensor([4, 4, 5]), 4, 6)
    assert moments.counts.tolist() == [2, 1]
    assert moments.means.tolist() == [[2, 1], [5, 5]]
    assert moments.seconds.tolist() == [[[10, 6], [6, 4]], [[25, 25], [25, 25]]]
    assert covariances(moments).tolist() == [[[2, 2], [2, 2]], [[0, 0], [0, 0]]]


@pytest.mark.parametrize("way", ["moments", "centred"])
def test_covariances_are_unbiased(way: str) -> None:
    found = (
        covariances(class_moments(FEATURES, LABELS, 2, 5))
        if way == "moments"
        else class_covariances(FEATURES, LABELS, 2, 5)
    )
    for label in (2, 3, 4):
        assert torch.allclose(found[label - 2], torch.cov(FEATURES[label == LABELS].double().T), atol=1e-10)


def test_a_class_without_images_is_named() -> None:
    with pytest.raises(ValueError, match=r"\[5, 6\]"):
        class_moments(FEATURES, LABELS, 2, 7)


def test_a_linear_map_of_features_maps_their_moments() -> None:
    mapping = random(5, 5, seed=2).double()
    before = class_moments(FEATURES, LABELS, 2, 5)
    after = class_moments(FEATURES.double() @ mapping, LABELS, 2, 5)
    assert torch.allclose(mapping.T @ before.seconds @ mapping, after.seconds, atol=1e-8)
    assert torch.allclose(before.means @ mapping, after.means, atol=1e-10)


def test_the_order_of_images_does_not_matter() -> None:
    order = torch.randperm(60, generator=seeded())
    straight, mixed = ClassGaussians(5), ClassGaussians(5)
    straight.append(FEATURES, LABELS, 2, 5)
    mixed.append(FEATURES[order], LABELS[order], 2, 5)
    assert torch.allclose(straight.means, mixed.means, atol=1e-6)
    assert torch.allclose(straight.covariances, mixed.covariances, atol=1e-5)


def test_gaussians_of_later_classes_are_added() -> None:
    gaussians = ClassGaussians(5)
    gaussians.append(FEATURES[LABELS < 4], LABELS[LABELS < 4], 2, 4)
    gaussians.append(FEATURES[LABELS == 4], LABELS[LABELS == 4], 4, 5)
    assert gaussians.means.dtype == torch.float32
    assert torch.allclose(gaussians.means[2], FEATURES[LABELS == 4].mean(dim=0), atol=1e-6)
    assert gaussians.covariances.shape == (3, 5, 5)


def test_draws_have_the_mean_and_covariance_of_their_class() -> None:
    gaussians = ClassGaussians(5)
    gaussians.append(FEATURES, LABELS, 2, 5)
    sampler = gaussians.sampler()
    one = sampler.draw_from(1, 40_000, seeded())
    many = sampler.draw(torch.ones(40_000, dtype=torch.long), seeded())
    scale = gaussians.covariances[1].diagonal().max()
    for draws in (one, many):
        assert torch.allclose(draws.mean(dim=0), gaussians.means[1], atol=0.1)
        assert (torch.cov(draws.T) - gaussians.covariances[1]).abs().max() < 0.03 * scale


def test_the_same_generator_draws_the_same_features() -> None:
    sampler = Sampler(torch.zeros(2, 3), torch.eye(3).expand(2, 3, 3))
    classes = torch.tensor([0, 1, 1])
    assert torch.equal(sampler.draw(classes, seeded(4)), sampler.draw(classes, seeded(4)))
    assert not torch.equal(sampler.draw(classes, seeded(4)), sampler.draw(classes, seeded(5)))


def test_a_class_of_one_image_draws_its_feature_and_little_noise() -> None:
    gaussians = ClassGaussians(5)
    gaussians.append(FEATURES[:1], LABELS[:1], 2, 3)
    offsets = gaussians.sampler(jitter=1e-4).draw_from(0, 1000, seeded()) - FEATURES[0]
    assert offsets.std().item() == pytest.approx(0.01, rel=0.05)


def test_a_matrix_below_zero_receives_more_jitter_and_only_that_one() -> None:
    matrices = torch.stack([torch.eye(3), torch.eye(3) - 1.005 * torch.diag(torch.tensor([1.0, 0, 0]))])
    factors, jitters = cholesky_factors(matrices, 1e-5)
    assert jitters.tolist() == pytest.approx([1e-5, 1e-2])
    expected = matrices.double() + jitters[:, None, None] * torch.eye(3)
    assert torch.allclose(factors @ factors.mT, expected, atol=1e-12)


def test_a_matrix_far_from_positive_definite_is_refused() -> None:
    with pytest.raises(ValueError, match="covariances of 1 classes are far from positive definite"):
        cholesky_factors(-1e9 * torch.eye(2)[None])


def test_each_class_occurs_once_before_any_occurs_twice() -> None:
    classes = balanced_classes(5, 12, seeded())
    assert sorted(classes[:5].tolist()) == sorted(classes[5:10].tolist()) == [0, 1, 2, 3, 4]
    assert len(classes) == 12


def test_an_affine_map_carries_gaussians_exactly() -> None:
    gaussians = ClassGaussians(5)
    gaussians.append(FEATURES, LABELS, 2, 5)
    affine = Affine(5, 5, seeded())
    means, spreads = carried(gaussians.sampler(), affine, 2, seeded())
    moved = affine(FEATURES)
    for label in (2, 3, 4):
        assert torch.allclose(means[label - 2], moved[label == LABELS].mean(dim=0), atol=1e-5)
        assert torch.allclose(spreads[label - 2], torch.cov(moved[label == LABELS].T), rtol=1e-3, atol=1e-4)


def test_draws_carry_gaussians_up_to_their_error() -> None:
    gaussians = ClassGaussians(5)
    gaussians.append(FEATURES, LABELS, 2, 5)
    means, spreads = carried(gaussians.sampler(), torch.nn.Identity(), 40_000, seeded())
    assert torch.allclose(means, gaussians.means, atol=0.1)
    assert (spreads - gaussians.covariances).abs().max() < 0.03 * gaussians.covariances.max()
    assert torch.linalg.eigvalsh(spreads).min() > 0
