"""Negatives by noisy descent, and their loss."""

from __future__ import annotations

import pytest
import torch

from cil_core.learning.langevin import negative_cross_entropy, negatives


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def test_without_noise_each_step_descends_by_rate_times_gradient() -> None:
    """Energy Σ x²: x ← x (1 − 2 · 0.1), three times, from the image upside down."""
    x = torch.arange(8.0).view(1, 2, 2, 2)
    found = negatives(x, lambda x: x.square().sum(), generator(), steps=3, rate=0.1, noise=0.0)
    assert torch.allclose(found, x.flip(-1).flip(-2) * 0.8**3)
    assert not found.requires_grad
    assert torch.equal(x, torch.arange(8.0).view(1, 2, 2, 2))


def test_noise_comes_from_the_generator() -> None:
    x = torch.zeros(4, 3, 16, 16)
    first, again = (
        negatives(x, lambda x: x.sum() * 0, generator(seed), steps=1, rate=0.1, noise=0.5) for seed in (1, 1)
    )
    assert torch.equal(first, again)
    assert first.std().item() == pytest.approx(0.5, rel=0.05)


def test_a_negative_competes_without_its_own_class_and_no_other_image_s() -> None:
    """Public codes blank the columns of all labels of the batch, for every image."""
    unified = torch.tensor([[9.0, 1.0, 0.0, 0.0], [1.0, 9.0, 0.0, 0.0]], requires_grad=True)
    own, target = torch.tensor([0, 1]), torch.tensor([2, 3])
    loss = negative_cross_entropy(unified, own, target)
    expected = torch.tensor([1.0, 0.0, 0.0]).logsumexp(0).item()
    assert loss.item() == pytest.approx(expected, rel=1e-5)
    (gradient,) = torch.autograd.grad(loss, unified)
    assert gradient[0, 0] == gradient[1, 1] == 0
    assert gradient[0, 1] > 0
    assert gradient[1, 0] > 0
