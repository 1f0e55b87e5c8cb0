"""Mixed pairs of classes and spread prototypes, by hand and against draws."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from cil_core.learning.dual_augmentation import mixed_pairs, pair_count, pair_labels, spread_logits


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.mark.parametrize("classes", [2, 5, 50])
def test_pairs_are_numbered_without_a_gap(classes: int) -> None:
    first, second = torch.triu_indices(classes, classes, offset=1)
    assert sorted(pair_labels(first, second).tolist()) == list(range(pair_count(classes)))
    assert torch.equal(pair_labels(first, second), pair_labels(second, first))


def test_fifty_classes_have_1225_pairs_and_one_has_none() -> None:
    assert (pair_count(50), pair_count(10), pair_count(1)) == (1225, 45, 0)


def test_mixtures_are_of_different_classes_with_nearly_equal_shares() -> None:
    x = torch.eye(6)
    labels = torch.tensor([0, 0, 1, 1, 2, 2])
    mixtures, numbers = mixed_pairs(x, labels, 50, 20, seeded())
    assert len(mixtures) == len(numbers) > 100
    for mixture, number in zip(mixtures, numbers.tolist(), strict=True):
        place = torch.nonzero(mixture).flatten()
        assert len(place) == 2
        assert pair_labels(*labels[place]).item() == number
        assert 0.4 <= mixture.max().item() <= 0.6
        assert mixture.sum().item() == pytest.approx(1)


def test_shares_are_those_of_a_beta_distribution_cut_to_the_middle() -> None:
    labels = torch.tensor([0, 1])
    shares = []
    for seed in range(400):
        mixtures, _ = mixed_pairs(torch.eye(2), labels, 1, 20, seeded(seed))
        shares.extend(mixtures[:1, 0].tolist())
    reference = torch.distributions.Beta(20.0, 20.0)
    inside = sum(share != 0.5 for share in shares) / len(shares)
    expected = 0.7959  # of Beta(20, 20) between 0.4 and 0.6, integrated numerically
    assert inside == pytest.approx(expected, abs=0.08)
    assert torch.tensor(shares).std().item() < reference.stddev.item()


def test_a_batch_of_one_class_has_no_mixtures() -> None:
    mixtures, numbers = mixed_pairs(torch.eye(4), torch.zeros(4, dtype=torch.long), 4, 20, seeded())
    assert mixtures.shape == (0, 4)
    assert numbers.dtype == torch.long


def test_a_spread_prototype_by_hand() -> None:
    covariance = torch.tensor([[[0.5, 0.1], [0.1, 0.3]]])
    logits = spread_logits(torch.tensor([[1.0, 0]]), torch.tensor([0]), torch.eye(2), covariance, 2.5)
    assert logits.flatten().tolist() == pytest.approx([1, 0.75])
    assert F.cross_entropy(logits, torch.tensor([0])).item() == pytest.approx(0.5759, abs=1e-4)


def test_without_temperature_the_surrogate_bounds_the_mean_loss_of_draws() -> None:
    covariance = torch.tensor([[0.5, 0.1], [0.1, 0.3]])
    noise = torch.randn(100_000, 2, generator=seeded()) @ torch.linalg.cholesky(1.0 * covariance).T
    draws = torch.tensor([1.0, 0]) + noise
    mean = F.cross_entropy(draws, torch.zeros(100_000, dtype=torch.long)).item()
    label = torch.tensor([0])
    bound = spread_logits(torch.tensor([[1.0, 0]]), label, torch.eye(2), covariance[None], 1.0)
    assert F.cross_entropy(bound, label).item() > mean


@pytest.mark.parametrize("case", ["no ratio", "no spread"])
def test_without_ratio_or_spread_prototypes_keep_their_logits(case: str) -> None:
    logits, labels = torch.randn(5, 3, generator=seeded()), torch.tensor([0, 1, 1, 0, 1])
    rows, spread = torch.randn(3, 4, generator=seeded(1)), torch.eye(4).expand(2, 4, 4)
    ratio, spread = (0.0, spread) if case == "no ratio" else (2.5, 0 * spread)
    assert torch.equal(spread_logits(logits, labels, rows, spread, ratio), logits)


def test_each_label_uses_the_covariance_of_its_class() -> None:
    rows, labels = torch.randn(3, 4, generator=seeded(1)), torch.tensor([2, 0])
    roots = torch.randn(3, 4, 4, generator=seeded(2))
    spread = roots @ roots.mT
    found = spread_logits(torch.zeros(2, 3), labels, rows, spread, 2.0)
    for row, label in zip(found, labels.tolist(), strict=True):
        expected = [float((w - rows[label]) @ spread[label] @ (w - rows[label])) for w in rows]
        assert row.tolist() == pytest.approx(expected, rel=1e-4)


def test_gradients_reach_the_rows_through_the_spread() -> None:
    rows = torch.randn(3, 4, generator=seeded(1)).requires_grad_()
    spread_logits(torch.zeros(1, 3), torch.tensor([0]), rows, torch.eye(4)[None], 2.0).sum().backward()
    assert rows.grad is not None
    assert bool((rows.grad != 0).all())
