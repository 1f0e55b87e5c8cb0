"""Classifier alignment: losses by hand, and the statistics of drawn features."""

from __future__ import annotations

import pytest
import torch

from cil_core.learning.alignment import DrawnFeatures, normalised_cross_entropy, symmetric_cross_entropy
from cil_core.learning.gaussians import ClassGaussians

LOGITS = torch.tensor([[3.0, 4.0, 0.0, 5.0]])


def test_the_normalised_loss_by_hand() -> None:
    """Two tasks with logits (3, 4) and (0, 5): both of length 5, so τ ν = .5 and logits are (6, 8, 0, 10)."""
    found = normalised_cross_entropy(LOGITS, torch.tensor([3]), (0, 2, 4), 0.1)
    assert found.item() == pytest.approx(0.14297, abs=1e-5)


def test_the_normalised_loss_ignores_the_scale_of_logits() -> None:
    first, second = (
        normalised_cross_entropy(scale * LOGITS, torch.tensor([1]), (0, 2, 4), 0.1) for scale in (1.0, 7.0)
    )
    assert first.item() == pytest.approx(second.item(), abs=1e-5)


def test_its_gradient_goes_through_the_length() -> None:
    """A loss that ignores the scale has no gradient along the logits."""
    logits = LOGITS.clone().requires_grad_()
    normalised_cross_entropy(logits, torch.tensor([1]), (0, 2, 4), 0.1).backward()
    assert logits.grad is not None
    assert (logits.grad * logits).sum().item() == pytest.approx(0, abs=1e-5)


def test_unequal_tasks_have_lengths_of_their_own() -> None:
    """Tasks of 3 and 1 classes: lengths 5 and 5 again, but of other slices."""
    found = normalised_cross_entropy(LOGITS, torch.tensor([3]), (0, 3, 4), 0.1)
    assert found.item() == pytest.approx(0.14297, abs=1e-5)


@pytest.mark.parametrize(("weights", "loss"), [((1.0, 0.1), 1.15366), ((0.5, 0.5), 2.64916)])
def test_symmetric_cross_entropy_by_hand(weights: tuple[float, float], loss: float) -> None:
    """Logits (0, 0): .69315 and 4.60517."""
    terms = symmetric_cross_entropy(torch.zeros(1, 2), torch.tensor([0]))
    assert [term.item() for term in terms] == pytest.approx([0.69315, 4.60517], abs=1e-5)
    found = sum(weight * term for weight, term in zip(weights, terms, strict=True))
    assert float(found) == pytest.approx(loss, abs=1e-5)


@pytest.fixture
def gaussians() -> ClassGaussians:
    statistics = ClassGaussians(2)
    means = torch.tensor([[1.0, 2.0], [-3.0, 0.0]])
    spreads = torch.tensor([[[2.0, 1.0], [1.0, 4.0]], [[0.5, 0.0], [0.0, 0.1]]])
    statistics.replace(means, spreads)
    return statistics


def test_drawn_features_have_the_moments_of_their_class(gaussians: ClassGaussians) -> None:
    data = DrawnFeatures(gaussians.sampler(jitter=1e-4), 50_000)
    (batch,) = data.batches(len(data), torch.Generator().manual_seed(0))
    for label in range(2):
        members = batch.x[batch.y == label]
        assert len(members) == 50_000
        assert torch.allclose(members.mean(dim=0), gaussians.means[label], atol=0.03)
        assert torch.allclose(members.T.cov(), gaussians.covariances[label], atol=0.06)


def test_every_pass_draws_anew_in_shuffled_batches(gaussians: ClassGaussians) -> None:
    data, generator = DrawnFeatures(gaussians.sampler(), 6), torch.Generator().manual_seed(0)
    first, second = (list(data.batches(4, generator)) for _ in range(2))
    assert [len(batch) for batch in first] == [4, 4, 4]
    assert sorted(torch.cat([batch.y for batch in first]).tolist()) == [0] * 6 + [1] * 6
    assert not torch.equal(first[0].x, second[0].x)
    with pytest.raises(ValueError, match="generator"):
        next(data.batches(4))


def test_a_class_with_one_image_has_its_feature_and_almost_no_spread() -> None:
    statistics = ClassGaussians(2)
    statistics.append(torch.tensor([[1.0, 2.0]]), torch.tensor([0]), 0, 1)
    data = DrawnFeatures(statistics.sampler(jitter=1e-4), 200)
    (batch,) = data.batches(200, torch.Generator().manual_seed(0))
    assert batch.x.std(dim=0).tolist() == pytest.approx([0.01, 0.01], rel=0.2)
