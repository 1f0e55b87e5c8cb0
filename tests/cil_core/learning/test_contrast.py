"""InfoNCE between two views, against values by hand."""

from __future__ import annotations

import math

import pytest
import torch

from cil_core.learning.contrast import contrast, info_nce, new_only, transferred


@pytest.mark.parametrize("rows", [2, 4, 10])
def test_where_all_rows_are_equal_it_is_the_log_of_the_others(rows: int) -> None:
    assert info_nce(torch.ones(rows, 3), 0.2).item() == pytest.approx(math.log(rows - 1), abs=1e-5)


def test_perfect_pairs_among_orthogonal_images() -> None:
    """log(1 + 2 e^{−1 / 0.2})"""
    views = torch.eye(2).repeat(2, 1)
    assert info_nce(views, 0.2).item() == pytest.approx(0.013386, abs=1e-6)


def test_the_positive_is_the_other_view_and_length_has_no_effect() -> None:
    views = torch.randn(6, 4, generator=torch.Generator().manual_seed(0))
    unit = views / views.norm(dim=1, keepdim=True)
    losses = []
    for row in range(6):
        others = [other for other in range(6) if other != row]
        logits = torch.stack([unit[row] @ unit[other] / 0.5 for other in others])
        losses.append(logits.logsumexp(0) - unit[row] @ unit[(row + 3) % 6] / 0.5)
    expected = torch.stack(losses).mean().item()
    assert info_nce(views, 0.5).item() == pytest.approx(expected, rel=1e-5)
    assert info_nce(7 * views, 0.5).item() == pytest.approx(expected, rel=1e-5)


def test_between_two_networks_the_row_of_the_same_view_does_not_compete() -> None:
    queries, keys = torch.eye(2).repeat(2, 1), torch.eye(2).repeat(2, 1)
    keys[0] = torch.tensor([5.0, 5.0])  # the first view of the first image
    apart = contrast(queries, keys, 0.2)
    keys[0] = torch.tensor([1.0, 0.0])
    same = contrast(queries, keys, 0.2)
    assert same.item() == pytest.approx(0.013386, abs=1e-6)
    first = contrast(queries[[0, 0]], keys[[0, 2]], 0.2)  # one image: only its other view is left
    assert first.item() == 0
    assert apart > same


def test_the_mean_over_no_new_image_is_zero() -> None:
    values = torch.tensor([1.0, 2.0, 6.0], requires_grad=True)
    assert new_only(values, torch.tensor([False, True, True])).item() == 4
    none = new_only(values, torch.zeros(3, dtype=torch.bool))
    assert none.item() == 0
    assert not torch.autograd.grad(none, values)[0].any()


def test_the_transfer_is_the_divergence_from_the_teacher_without_the_squared_temperature() -> None:
    student, teacher = torch.tensor([[1.0, 0.0]]), torch.tensor([[0.0, 2.0]])
    p, q = (teacher / 2).softmax(1), (student / 2).softmax(1)
    expected = (p * (p / q).log()).sum().item()
    assert transferred(student, teacher, 2.0).item() == pytest.approx(expected, rel=1e-5)
    assert transferred(student, student, 2.0).item() == pytest.approx(0, abs=1e-6)
