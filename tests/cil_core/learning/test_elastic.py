"""The feature matrix, its penalty and the drift of means against hand-computed values."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from cil_core.learning.elastic import (
    elastic_drift,
    elastic_penalty,
    feature_matrix,
    mixed_counts,
    old_draws,
)
from cil_core.learning.feature_pairs import FeaturePairs
from cil_core.learning.gaussians import Sampler


def random(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def test_the_matrix_of_three_rows_by_hand() -> None:
    matrix = feature_matrix(torch.zeros(1, 2), torch.tensor([[1.0, 0], [0, 1], [1, 1]]))
    assert matrix.flatten().tolist() == pytest.approx([2 / 9, -1 / 9, -1 / 9, 2 / 9])


def test_the_matrix_of_two_classes_by_hand() -> None:
    matrix = feature_matrix(torch.zeros(1, 2), torch.tensor([[2.0, 0], [0, 0]]))
    assert matrix.tolist() == [[1, 0], [0, 0]]


def test_the_matrix_is_the_mean_hessian_of_log_sum_exp() -> None:
    features, rows = random(7, 4), random(5, 4, seed=1)
    hessians = [
        torch.autograd.functional.hessian(lambda f: torch.logsumexp(rows @ f, dim=0), feature)
        for feature in features
    ]
    assert torch.allclose(feature_matrix(features, rows), torch.stack(hessians).mean(dim=0), atol=1e-12)


def test_the_matrix_is_symmetric_positive_and_has_less_rank_than_classes() -> None:
    matrix = feature_matrix(random(30, 16), random(5, 16, seed=1))
    values = torch.linalg.eigvalsh(matrix)
    assert torch.allclose(matrix, matrix.T, atol=1e-14)
    assert values.min() > -1e-12
    assert int((values > 1e-10).sum()) == 4


def test_a_vector_added_to_all_rows_changes_nothing() -> None:
    features, rows = random(30, 6), random(5, 6, seed=1)
    shifted = rows + random(1, 6, seed=2)
    assert torch.allclose(feature_matrix(features, rows), feature_matrix(features, shifted), atol=1e-12)


def test_every_image_counts_in_any_order() -> None:
    features, rows = random(31, 6), random(5, 6, seed=1)
    order = torch.randperm(31, generator=seeded())
    assert torch.allclose(feature_matrix(features, rows), feature_matrix(features[order], rows), atol=1e-12)
    assert not torch.allclose(feature_matrix(features, rows), feature_matrix(features[:30], rows), atol=1e-6)


def test_the_penalty_and_its_gradient_are_zero_without_a_difference() -> None:
    difference = torch.zeros(3, 4, dtype=torch.float64, requires_grad=True)
    penalty = elastic_penalty(difference, feature_matrix(random(9, 4), random(3, 4)), 10, 0.1)
    (gradient,) = torch.autograd.grad(penalty, difference)
    assert penalty.item() == 0
    assert bool((gradient == 0).all())


def test_the_penalty_quadruples_with_twice_the_difference() -> None:
    matrix, difference = feature_matrix(random(9, 4), random(3, 4)), random(5, 4, seed=3)
    one, two = (elastic_penalty(scale * difference, matrix, 10, 0.1).item() for scale in (1, 2))
    assert two == pytest.approx(4 * one)


def test_along_the_null_space_only_the_damping_remains() -> None:
    matrix = torch.tensor([[1.0, 0], [0, 0]])
    penalty = elastic_penalty(torch.tensor([[0.0, 3], [0, 1]]), matrix, 10, 0.1)
    assert penalty.item() == pytest.approx(0.1 * (9 + 1) / 2)


def test_a_rigid_drift_moves_every_mean_by_exactly_that() -> None:
    old, shift = random(40, 5), random(1, 5, seed=4)
    drift = elastic_drift(
        FeaturePairs(old, old + shift), random(3, 5, seed=1), feature_matrix(old, random(4, 5)), 0.2
    )
    assert (drift - shift).abs().max() < 1e-13


def test_weights_follow_the_nearness_of_all_images_and_classes_jointly() -> None:
    pairs = FeaturePairs(torch.tensor([[0.0], [1.0]]), torch.tensor([[1.0], [4.0]]))
    means, matrix = torch.tensor([[0.0], [3.0]]), torch.eye(1)
    # squared distances 0, 1 and 9, 4: scaled to 1, 8/9 and 0, 5/9
    scaled = torch.tensor([[1, 8 / 9], [0, 5 / 9]], dtype=torch.float64)
    weights = (scaled / (2 * 0.2**2)).exp()
    expected = (weights @ torch.tensor([[1.0], [3.0]]).double()) / weights.sum(dim=1, keepdim=True)
    assert torch.allclose(elastic_drift(pairs, means, matrix, 0.2), expected, atol=1e-12)


def test_a_matrix_of_zeros_gives_the_mean_drift() -> None:
    old, new = random(10, 3), random(10, 3, seed=1)
    drift = elastic_drift(FeaturePairs(old, new), random(2, 3, seed=2), torch.zeros(3, 3), 0.2)
    assert torch.allclose(drift, (new - old).mean(dim=0).expand(2, 3), atol=1e-12)


@pytest.mark.parametrize(("known", "seen"), [(10, 20), (50, 100), (60, 64)])
def test_draws_and_images_together_fill_the_mixed_batch(known: int, seen: int) -> None:
    counts = [mixed_counts(known, seen, 64, 64, seeded(seed)) for seed in range(200)]
    assert all(0 <= count <= 64 for count in counts)
    assert sum(counts) / 200 == pytest.approx(64 * known / seen, abs=1)
    assert len(set(counts)) > 1 or seen == 64


def test_without_a_last_batch_every_sample_is_a_draw() -> None:
    assert mixed_counts(10, 20, 64, 0, seeded()) == 64


def test_what_a_small_last_batch_cannot_fill_is_drawn() -> None:
    assert mixed_counts(1, 1000, 64, 20, seeded()) == 44


def test_draws_are_balanced_over_old_classes() -> None:
    sampler = Sampler(10 * torch.eye(3), torch.zeros(3, 3, 3))
    features, labels = old_draws(sampler, 3, 7, seeded())
    assert sorted(labels.bincount().tolist()) == [2, 2, 3]
    assert torch.equal(features.argmax(dim=1), labels)
