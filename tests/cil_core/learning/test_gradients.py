"""Projections of GEM and A-GEM against their constraints, optimality conditions and a general solver."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import LinearConstraint, minimize
from torch import Tensor, nn

from cil_core.learning.gradients import (
    flat_gradient,
    gradient_of,
    project_on_average,
    project_on_tasks,
    set_gradient,
)


def random(*shape: int, seed: int = 0, dtype: torch.dtype = torch.float64) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)


# ------------------------------------------------------------------ GEM

sizes = {"tasks": st.integers(1, 8), "parameters": st.integers(1, 40), "seed": st.integers(0, 10_000)}


@given(**sizes)
def test_a_projected_gradient_conflicts_with_no_past_task(tasks: int, parameters: int, seed: int) -> None:
    """More tasks than parameters, so that G has no full rank, included."""
    references, gradient = random(tasks, parameters, seed=seed), random(parameters, seed=seed + 1)
    projected = project_on_tasks(gradient, references, margin=0.0, ridge=0.0)
    assert (references @ projected).min() >= -1e-9


@given(**sizes)
def test_the_projection_satisfies_the_optimality_conditions(tasks: int, parameters: int, seed: int) -> None:
    """g̃ − g is a non-negative combination of past gradients, and only of those whose constraint is tight."""
    parameters += tasks  # full rank: the combination is unique
    references, gradient = random(tasks, parameters, seed=seed), random(parameters, seed=seed + 1)
    projected = project_on_tasks(gradient, references, margin=0.0, ridge=0.0)
    weights = torch.linalg.lstsq(references.T, (projected - gradient)[:, None]).solution[:, 0]
    assert weights.min() >= -1e-9
    assert (weights * (references @ projected)).abs().max() < 1e-7


@pytest.mark.parametrize(("margin", "ridge"), [(0.0, 0.0), (0.5, 1e-3), (0.1, 0.5)])
def test_the_dual_solution_agrees_with_a_general_solver(margin: float, ridge: float) -> None:
    references, gradient = random(4, 30), random(30, seed=1) - random(4, 30).sum(dim=0)
    quadratic = (references @ references.T).numpy() + ridge * np.eye(4)
    linear = (references @ gradient).numpy()
    general = minimize(
        lambda v: v @ quadratic @ v / 2 + linear @ v,
        np.ones(4),
        jac=lambda v: quadratic @ v + linear,
        constraints=LinearConstraint(np.eye(4), margin, np.inf),
        method="SLSQP",
        options={"ftol": 1e-15},
    )
    expected = gradient + references.T @ torch.from_numpy(general.x)
    assert torch.allclose(project_on_tasks(gradient, references, margin, ridge), expected, atol=1e-6)


def test_gem_by_hand() -> None:
    projected = project_on_tasks(torch.tensor([1.0, 2]), torch.tensor([[-3.0, 0]]), margin=0.0, ridge=0.0)
    assert projected.tolist() == pytest.approx([0, 2])


def test_with_a_margin_every_past_task_is_favoured() -> None:
    gradient, references = torch.tensor([1.0, 2]), torch.tensor([[-3.0, 0], [0, 1]])
    # without a margin v = (1/3, 0); both at least 0.5 gives g + 0.5 · (−3, 0) + 0.5 · (0, 1)
    assert project_on_tasks(gradient, references, margin=0.5, ridge=0.0).tolist() == pytest.approx(
        [-0.5, 2.5]
    )


def test_with_a_ridge_constraints_hold_up_to_ridge_times_the_largest_weight() -> None:
    ridge = 1e-3
    for seed in range(20):
        references, gradient = random(5, 50, seed=seed), random(50, seed=seed + 100)
        projected = project_on_tasks(gradient, references, 0.0, ridge)
        weights = torch.linalg.lstsq(references.T, (projected - gradient)[:, None]).solution[:, 0]
        assert (references @ projected).min() >= -ridge * weights.max() - 1e-9


def test_a_gradient_without_conflict_is_returned_unchanged() -> None:
    gradient = random(30)
    assert (
        project_on_tasks(gradient, torch.stack([gradient, 2 * gradient]), margin=0.5, ridge=1e-3) is gradient
    )


def test_a_gradient_that_is_not_finite_is_returned_unchanged() -> None:
    gradient = torch.tensor([1.0, torch.nan])
    assert project_on_tasks(gradient, torch.ones(1, 2), 0.0, 0.0) is gradient


def test_past_gradients_of_zero_never_conflict() -> None:
    gradient = torch.tensor([1.0, 2])
    references = torch.tensor([[0.0, 0], [-1, 0]])
    assert project_on_tasks(gradient, references, 0.0, 0.0).tolist() == pytest.approx([0, 2])


def test_gem_keeps_single_precision() -> None:
    projected = project_on_tasks(
        random(30, dtype=torch.float32), -random(3, 30, dtype=torch.float32), 0.0, 0.0
    )
    assert projected.dtype == torch.float32


# ------------------------------------------------------------------ A-GEM


def test_agem_by_hand() -> None:
    assert project_on_average(torch.tensor([1.0, 2]), torch.tensor([-2.0, 0])).tolist() == [0, 2]


@given(parameters=st.integers(1, 50), seed=st.integers(0, 10_000))
def test_agem_removes_the_conflict_and_does_not_lengthen_the_step(parameters: int, seed: int) -> None:
    gradient, reference = random(parameters, seed=seed), random(parameters, seed=seed + 1)
    projected = project_on_average(gradient, reference)
    if gradient @ reference >= 0:
        assert projected is gradient
    else:
        assert abs(projected @ reference) <= 1e-6 * reference.norm() * gradient.norm()
        assert projected.norm() <= gradient.norm()


def test_agem_with_one_reference_is_gem_with_one_task() -> None:
    gradient, reference = random(30), -random(30) + 0.1 * random(30, seed=2)
    assert torch.allclose(
        project_on_average(gradient, reference), project_on_tasks(gradient, reference[None], 0.0, 0.0)
    )


def test_a_reference_of_zero_never_conflicts() -> None:
    gradient = random(5)
    assert project_on_average(gradient, torch.zeros(5, dtype=torch.float64)) is gradient


# ------------------------------------------------------------------ flat gradients


def test_gradients_are_flattened_and_put_back_in_the_order_of_the_parameters() -> None:
    parameters = [nn.Parameter(torch.ones(2, 3)), nn.Parameter(torch.ones(())), nn.Parameter(torch.ones(4))]
    vector = torch.arange(11.0)
    set_gradient(parameters, vector)
    assert parameters[0].grad is not None
    assert parameters[0].grad.tolist() == [[0, 1, 2], [3, 4, 5]]
    assert torch.equal(flat_gradient(parameters), vector)


def test_a_parameter_without_a_gradient_counts_as_zero() -> None:
    used, unused = nn.Parameter(torch.ones(2)), nn.Parameter(torch.ones(3))
    assert gradient_of((3 * used).sum(), [used, unused]).tolist() == [3, 3, 0, 0, 0]
    assert flat_gradient([used, unused]).tolist() == [0] * 5


def test_computing_a_past_gradient_keeps_the_current_one() -> None:
    parameter = nn.Parameter(torch.ones(2))
    (5 * parameter).sum().backward()
    assert gradient_of((3 * parameter).sum(), [parameter]).tolist() == [3, 3]
    assert flat_gradient([parameter]).tolist() == [5, 5]
