"""`align_new_rows`: the mean norm of new rows becomes that of old ones, and nothing else changes."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from cil_core.nets.heads import align_new_rows
from cil_core.spec.errors import Diverged


def weight() -> nn.Parameter:
    scales = torch.tensor([1.0, 2.0, 3.0, 8.0, 9.0])[:, None]
    return nn.Parameter(scales * torch.randn(5, 6, generator=torch.Generator().manual_seed(0)))


def test_the_factor_by_hand() -> None:
    rows = nn.Parameter(torch.tensor([[3.0, 4.0], [0.0, 1.0], [0.0, 6.0]]))  # norms 5, 1 | 6
    assert align_new_rows(rows, 2) == pytest.approx(0.5)
    assert rows.tolist() == [[3.0, 4.0], [0.0, 1.0], [0.0, 3.0]]


def test_mean_norms_are_equal_afterwards() -> None:
    rows = weight()
    align_new_rows(rows, 3)
    assert rows[3:].norm(dim=1).mean().item() == pytest.approx(rows[:3].norm(dim=1).mean().item(), rel=1e-6)


def test_old_rows_and_the_directions_of_new_ones_stay() -> None:
    rows, before = weight(), weight()
    align_new_rows(rows, 3)
    assert torch.equal(rows[:3], before[:3])
    assert torch.allclose(F.cosine_similarity(rows, before), torch.ones(5), atol=1e-6)
    assert rows.requires_grad


def test_aligning_is_idempotent() -> None:
    rows = weight()
    align_new_rows(rows, 3)
    once = rows.detach().clone()
    assert align_new_rows(rows, 3) == pytest.approx(1, abs=1e-6)
    assert torch.allclose(rows, once, rtol=1e-6)


def test_the_order_among_new_and_among_old_classes_stays() -> None:
    features = torch.randn(50, 6, generator=torch.Generator().manual_seed(1))
    rows = weight()
    before = features @ rows.detach().T
    align_new_rows(rows, 3)
    after = features @ rows.T
    assert torch.equal(after[:, 3:].argmax(dim=1), before[:, 3:].argmax(dim=1))
    assert torch.equal(after[:, :3], before[:, :3])


def test_rows_that_are_all_zero_have_no_factor() -> None:
    rows = nn.Parameter(torch.tensor([[1.0, 0.0], [0.0, 0.0]]))
    with pytest.raises(Diverged, match="all 1 new rows of the classifier are zero"):
        align_new_rows(rows, 1)
