"""Transport plans: their marginals, their limits, and the rows they carry."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import Tensor

from cil_core.learning.optimal_transport import carried_rows, class_cost, describe, transport_plan


def random(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def unit(rows: Tensor) -> Tensor:
    return rows / rows.norm(dim=1, keepdim=True)


def test_the_cost_is_the_minkowski_distance() -> None:
    corners = torch.eye(2)
    assert class_cost(corners, corners, 3.0).tolist() == [
        [0.0, pytest.approx(2 ** (1 / 3))],
        [pytest.approx(2 ** (1 / 3)), 0.0],
    ]
    assert class_cost(corners, corners, 2.0)[0, 1] == pytest.approx(math.sqrt(2))
    assert class_cost(corners, corners, 1.0)[0, 1] == pytest.approx(2.0)


def test_the_cost_is_symmetric_in_its_sides() -> None:
    source, target = unit(random(5, 8)), unit(random(3, 8, seed=1))
    assert torch.equal(class_cost(source, target, 3.0), class_cost(target, source, 3.0).T)
    assert (class_cost(source, target, 3.0) >= 0).all()
    own = class_cost(source, source, 3.0)
    assert torch.equal(own, own.T)
    assert torch.equal(own.diagonal(), torch.zeros(5))


@pytest.mark.parametrize(("sources", "targets"), [(50, 10), (10, 50), (10, 90), (7, 7), (4, 1), (1, 4)])
def test_rows_and_columns_share_the_mass_equally(sources: int, targets: int) -> None:
    cost = class_cost(unit(random(sources, 64)), unit(random(targets, 64, seed=1)), 3.0)
    plan = transport_plan(cost, 0.464)
    assert plan.dtype == torch.float64
    assert plan.shape == (sources, targets)
    assert (plan >= 0).all()
    assert torch.allclose(
        plan.sum(dim=1), torch.full((sources,), 1 / sources, dtype=torch.float64), atol=1e-9
    )
    assert torch.allclose(
        plan.sum(dim=0), torch.full((targets,), 1 / targets, dtype=torch.float64), atol=1e-9
    )
    assert describe(plan)["marginal_error"] < 1e-8


def test_two_by_two_has_a_closed_form() -> None:
    plan = transport_plan(torch.tensor([[0.0, 1.0], [1.0, 0.0]]), 1.0)
    near = math.e / (math.e + 1) / 2
    assert plan.flatten().tolist() == pytest.approx([near, 0.5 - near, 0.5 - near, near])


def test_the_plan_agrees_with_plain_sinkhorn_scaling() -> None:
    cost = class_cost(unit(random(6, 16)), unit(random(4, 16, seed=1)), 3.0).double().numpy()
    kernel, u, v = np.exp(-cost / 0.464), np.ones(6), np.ones(4)
    for _ in range(500):
        u = (1 / 6) / (kernel @ v)
        v = (1 / 4) / (kernel.T @ u)
    assert np.allclose(
        transport_plan(torch.from_numpy(cost), 0.464).numpy(), u[:, None] * kernel * v, atol=1e-9
    )


def test_much_entropy_spreads_the_mass_evenly() -> None:
    plan = transport_plan(class_cost(unit(random(5, 8)), unit(random(3, 8, seed=1)), 3.0), 1e6)
    assert torch.allclose(plan, torch.full((5, 3), 1 / 15, dtype=torch.float64), atol=1e-7)
    assert describe(plan)["contrast"] == pytest.approx(1, abs=1e-4)


def test_little_entropy_finds_the_permutation_and_carries_its_rows() -> None:
    order = torch.tensor([2, 0, 4, 1, 3])
    means, rows = unit(random(5, 16)), random(5, 16, seed=2)
    plan = transport_plan(class_cost(means, means[order], 3.0), 1e-3)
    permutation = torch.zeros(5, 5, dtype=torch.float64)
    permutation[order, torch.arange(5)] = 1 / 5
    assert torch.allclose(plan, permutation, atol=1e-6)
    assert torch.allclose(unit(carried_rows(plan, rows)), unit(rows)[order], atol=1e-5)


def test_carried_rows_have_the_mean_norm_of_the_rows_they_come_from() -> None:
    rows = random(6, 16, seed=3) * torch.arange(1, 7)[:, None]
    plan = transport_plan(class_cost(unit(random(6, 16)), unit(random(4, 16, seed=1)), 3.0), 0.464)
    carried = carried_rows(plan, rows)
    assert carried.shape == (4, 16)
    assert carried.dtype == rows.dtype
    assert carried.norm(dim=1).mean().item() == pytest.approx(rows.norm(dim=1).mean().item(), rel=1e-6)
    mixture = plan.float().T @ unit(rows)
    assert torch.allclose(unit(carried), unit(mixture), atol=1e-6)


def test_a_plan_is_described_by_its_worst_marginal_and_its_contrast() -> None:
    plan = torch.tensor([[0.5, 0.0], [0.1, 0.2]], dtype=torch.float64)
    assert describe(plan) == {"marginal_error": pytest.approx(0.3), "contrast": pytest.approx(2.5)}
