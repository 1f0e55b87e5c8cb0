"""Class statistics, and the features made from them."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from cil_core.data.features import FeatureDataset
from cil_core.learning.prototypes import mean_features, most_similar, spreads, with_translated


def random(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


LABELS = torch.tensor([3, 5, 4, 3, 5, 5, 4, 5])
FEATURES = random(8, 6)


def test_mean_features_are_plain_averages_of_each_class() -> None:
    expected = torch.stack([FEATURES[label == LABELS].mean(dim=0) for label in (3, 4, 5)])
    assert torch.allclose(mean_features(FEATURES, LABELS, 3, 6), expected, atol=1e-6)


def test_means_of_streamed_parts_agree_with_a_single_pass() -> None:
    parts = [
        mean_features(FEATURES[label == LABELS], LABELS[label == LABELS], label, label + 1)
        for label in (3, 4, 5)
    ]
    assert torch.allclose(torch.cat(parts), mean_features(FEATURES, LABELS, 3, 6), atol=1e-6)


def test_a_class_without_a_sample_is_named() -> None:
    with pytest.raises(ValueError, match=r"\[6, 7\]"):
        mean_features(FEATURES, LABELS, 3, 8)


def test_spreads_are_the_trace_of_the_covariance_by_the_width() -> None:
    expected = [
        float(torch.cov(FEATURES[label == LABELS].T, correction=0).trace() / 6) for label in (3, 4, 5)
    ]
    assert spreads(FEATURES, LABELS, 3, 6).tolist() == pytest.approx(expected, rel=1e-5)


def test_the_spread_of_isotropic_noise_is_its_variance() -> None:
    noise = 0.7 * random(5000, 32) + 100
    assert spreads(noise, torch.zeros(5000, dtype=torch.long), 0, 1).sqrt().item() == pytest.approx(
        0.7, rel=0.01
    )


def test_a_single_sample_has_no_spread() -> None:
    assert spreads(FEATURES[:1], LABELS[:1], 3, 4).tolist() == [0]


def test_similarity_by_angle_and_by_distance_are_not_the_same() -> None:
    queries, candidates = torch.tensor([[1.0, 1]]), torch.tensor([[1.0, 0], [90, 91]])
    assert most_similar(queries, candidates, "cosine").tolist() == [1]
    assert most_similar(queries, candidates, "euclidean").tolist() == [0]


@pytest.mark.parametrize("similarity", ["cosine", "euclidean"])
def test_translated_features_have_the_old_mean_and_the_donors_covariance_and_count(similarity: str) -> None:
    real = FeatureDataset(
        random(90, 6, seed=1) + 3 * torch.eye(6)[torch.arange(90) % 3], 4 + torch.arange(90) % 3
    )
    old = random(4, 6, seed=2)
    new = mean_features(real.features, real.labels, 4, 7)
    made = with_translated(real, torch.cat([old, new]), 4, similarity)  # type: ignore[arg-type]
    assert torch.equal(made.features[:90], real.features)
    for label in range(4):
        features = made.features[made.labels == label]
        donor = int(most_similar(old[label : label + 1], new, similarity)[0])  # type: ignore[arg-type]
        assert len(features) == 30
        assert torch.allclose(features.mean(dim=0), old[label], atol=1e-5)
        assert torch.allclose(
            torch.cov(features.T), torch.cov(real.features[real.labels == 4 + donor].T), atol=1e-4
        )


def test_without_old_classes_no_feature_is_added() -> None:
    real = FeatureDataset(FEATURES, LABELS - 3)
    assert len(with_translated(real, mean_features(FEATURES, LABELS, 3, 6), 0, "cosine")) == 8
