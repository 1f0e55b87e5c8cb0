"""Transplanted logits and the future terms of X-DER, by hand."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from cil_core.learning.future_losses import (
    future_margin,
    past_margin,
    similarity_distance,
    supervised_contrast,
    transplanted,
)


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def row(*values: float) -> torch.Tensor:
    return torch.tensor([values], dtype=torch.float32)


def test_larger_new_logits_are_scaled_to_a_share_of_the_own_one() -> None:
    found = transplanted(row(3, 1, 0, 0), row(9, 9, 6, 2), torch.tensor([0]), 2, 4, 0.85)
    assert found[0].tolist() == pytest.approx([3, 1, 2.55, 0.85])


def test_smaller_new_logits_are_copied_unchanged() -> None:
    found = transplanted(row(3, 1, 0, 0), row(9, 9, 2, -1), torch.tensor([0]), 2, 4, 0.85)
    assert found[0].tolist() == [3, 1, 2, -1]


def test_beside_a_negative_own_logit_the_order_of_new_ones_is_kept() -> None:
    """Scaling by a negative factor would reverse it."""
    found = transplanted(row(-2, -3, 0, 0), row(0, 0, 6, 2), torch.tensor([0]), 2, 4, 0.85)
    assert found[0].tolist() == pytest.approx([-2, -3, -2.3, -6.3])


def test_a_transplant_never_moves_the_largest_logit_away_from_the_own_class() -> None:
    fresh = 5 * torch.randn(200, 8, generator=generator(1))
    labels = torch.randint(3, (200,), generator=generator(2))
    stored = torch.randn(200, 8, generator=generator(3)) - 5
    stored.scatter_(1, labels[:, None], torch.randn(200, 1, generator=generator(4)) + 1)
    found = transplanted(stored, fresh, labels, 3, 8, 0.85)
    assert torch.equal(found[:, :3], stored[:, :3])
    assert torch.equal(found[:, :].argmax(dim=1), labels)


def test_without_columns_nothing_changes() -> None:
    stored = torch.randn(3, 4, generator=generator())
    assert torch.equal(transplanted(stored, stored + 9, torch.zeros(3, dtype=torch.long), 2, 2, 0.85), stored)


def test_supervised_contrast_against_a_loop() -> None:
    embeddings, labels = torch.randn(5, 3, generator=generator()), torch.tensor([0, 1, 0, 0, 2])
    unit = F.normalize(embeddings, dim=1)
    total = torch.zeros(())
    for i in range(5):
        others = [j for j in range(5) if j != i]
        denominator = torch.stack([unit[i] @ unit[j] / 5 for j in others]).logsumexp(0)
        same = [j for j in others if labels[j] == labels[i]]
        if same:
            total -= torch.stack([unit[i] @ unit[j] / 5 - denominator for j in same]).mean()
    assert supervised_contrast(embeddings, labels, 5.0).item() == pytest.approx(total.item() / 5, rel=1e-5)


def test_similarities_are_equal_up_to_a_rotation_and_a_scale() -> None:
    outputs = torch.randn(6, 2, generator=generator())
    turned = 3 * outputs @ torch.tensor([[0.0, 1.0], [-1.0, 0.0]])
    assert similarity_distance(turned, outputs).item() == pytest.approx(0, abs=1e-6)
    assert similarity_distance(torch.eye(2), torch.ones(2, 2)).item() == pytest.approx(
        2 * ((1 - 0.5**0.5) ** 2 + 0.5) / 4, rel=1e-5
    )


def test_the_future_margin_is_the_mean_over_images_that_violate_it() -> None:
    logits = torch.tensor([[5.0, 0.0, 1.0], [0.0, 1.0, 2.0], [1.0, 0.0, 0.9]])
    own = torch.tensor([[True, False, False], [False, True, False], [True, False, False]])
    assert future_margin(logits, own, 2, 0.3).item() == pytest.approx((1.3 + 0.2) / 2)
    assert future_margin(logits[:1], own[:1], 2, 0.3).item() == 0


def test_the_past_margin_raises_new_classes_and_leaves_old_ones_constant() -> None:
    logits = torch.zeros(1, 4, requires_grad=True)
    loss = past_margin(logits, 2, 0.3)
    assert loss.item() == pytest.approx(0.3)
    logits_with_gap = torch.tensor([[0.0, 0.0, 9.0, 0.0]])
    assert past_margin(logits_with_gap, 2, 0.3).item() == 0
