"""Ridge regression from sums, against numbers by hand, direct solves and the recursive regression."""

from __future__ import annotations

from itertools import pairwise

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from cil_core.engine.checkpoint import restore
from cil_core.nets.analytic import AnalyticHead
from cil_core.nets.heads import LinearHead
from cil_core.nets.ridge import RIDGES, RidgeHead, RidgeSums, best_ridge, held_out_errors
from cil_core.spec.errors import Diverged

CLASSES, WIDTH, EXPANSION = 6, 8, 60


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


LABELS = torch.arange(120) % CLASSES
TARGETS = F.one_hot(LABELS).double()
FEATURES = torch.randn(120, WIDTH, generator=generator(1)) + F.one_hot(LABELS, WIDTH)


def fresh(classes: int = CLASSES, expansion: int = EXPANSION) -> RidgeHead:
    head = LinearHead(WIDTH)
    head.grow(classes, generator())
    return RidgeHead.replacing(head, expansion, generator(7))


def absorb(head: RidgeHead, index: Tensor) -> None:
    head.sums.absorb(head.expanded(FEATURES[index]), TARGETS[index, : head.classes])


def direct(x: Tensor, y: Tensor, ridge: float) -> Tensor:
    """(XᵀX + λI)⁻¹ XᵀY by a general solver."""
    return torch.linalg.solve(x.T @ x + ridge * torch.eye(x.shape[1], dtype=torch.float64), x.T @ y)


def test_a_solution_by_hand() -> None:
    """X = [[1,0],[0,1],[1,1]] with classes 0, 1, 0 and λ = 1: (XᵀX + I) = [[3,1],[1,3]]."""
    sums = RidgeSums(2)
    sums.grow(2)
    x = torch.tensor([[1, 0], [0, 1], [1, 1]], dtype=torch.float64)
    sums.absorb(x, F.one_hot(torch.tensor([0, 1, 0])).double())
    weights, ridge = sums.solution(1.0)
    expected = torch.tensor([[5 / 8, -1 / 8], [1 / 8, 3 / 8]], dtype=torch.float64)
    assert torch.allclose(weights.T, expected, atol=1e-15)
    assert ridge == 1.0


@pytest.mark.parametrize("bounds", [(0, 6), (0, 2, 4, 6), (0, 1, 2, 3, 4, 5, 6), (0, 5, 6)])
def test_any_split_into_tasks_gives_the_joint_solution(bounds: tuple[int, ...]) -> None:
    head = fresh(bounds[1])
    for task, (low, high) in enumerate(pairwise(bounds)):
        if task:
            head.grow(high - low, generator())
        absorb(head, torch.nonzero((low <= LABELS) & (high > LABELS)).flatten())
    head.solve(0.5)
    expected = direct(head.expanded(FEATURES), TARGETS, 0.5).T
    assert (head.weight - expected).abs().max() < 1e-10 * expected.abs().max()


def test_the_order_of_tasks_does_not_matter() -> None:
    one, other = fresh(), fresh()
    for label in range(CLASSES):
        absorb(one, torch.nonzero(label == LABELS).flatten())
        absorb(other, torch.nonzero(CLASSES - 1 - label == LABELS).flatten())
    assert torch.allclose(one.sums.gram, other.sums.gram, atol=1e-9)
    assert torch.allclose(one.sums.moments, other.sums.moments, atol=1e-9)


def test_classes_without_data_have_zero_weights() -> None:
    head = fresh()
    absorb(head, torch.nonzero(LABELS < 4).flatten())
    head.solve(0.1)
    assert torch.equal(head.weight[4:], torch.zeros(2, EXPANSION, dtype=torch.float64))
    assert bool((head.weight[:4] != 0).any(dim=1).all())


def test_a_huge_ridge_classifies_by_the_nearest_class_sum() -> None:
    head = fresh()
    absorb(head, torch.arange(120))
    head.solve(1e8)
    sums = torch.stack([head.expanded(FEATURES[label == LABELS]).sum(dim=0) for label in range(CLASSES)])
    assert torch.equal(head(FEATURES).argmax(dim=1), (head.expanded(FEATURES) @ sums.T).argmax(dim=1))


def test_sums_and_recursion_have_the_same_solution() -> None:
    trained = LinearHead(WIDTH)
    trained.grow(CLASSES, generator())
    recursive = AnalyticHead.replacing(trained, EXPANSION, 0.1, generator(3))
    head = fresh()
    with torch.no_grad():
        head.projection.copy_(recursive.projection)
    for index in torch.randperm(120, generator=generator(2)).split(17):
        recursive.absorb(FEATURES[index], LABELS[index])
        absorb(head, index)
    head.solve(0.1)
    assert (head.weight - recursive.weight).abs().max() < 1e-9
    assert torch.allclose(head(FEATURES), recursive(FEATURES), atol=1e-9)


def test_without_an_expansion_it_is_ridge_regression_on_the_features() -> None:
    head = fresh(expansion=0)
    absorb(head, torch.arange(120))
    head.solve(2.0)
    assert torch.allclose(head(FEATURES), FEATURES.double() @ direct(FEATURES.double(), TARGETS, 2.0))


def test_the_projection_is_standard_normal_and_never_trained() -> None:
    head = fresh(expansion=4000)
    assert float(head.projection.std()) == pytest.approx(1, abs=0.02)
    assert float(head.projection.mean()) == pytest.approx(0, abs=0.02)
    assert not any(parameter.requires_grad for parameter in head.parameters())


def test_a_ridge_too_small_for_singular_sums_is_raised_tenfold_and_returned() -> None:
    """Two equal columns of 1e8: G + λI rounds to a singular matrix until λ is about one."""
    sums = RidgeSums(2)
    sums.grow(1)
    sums.absorb(torch.full((3, 2), 1e8, dtype=torch.float64), torch.ones(3, 1, dtype=torch.float64))
    weights, used = sums.solution(1e-8)
    assert used > 1e-8
    assert used in [pytest.approx(10.0**exponent) for exponent in range(-7, 12)]
    assert torch.allclose(weights.sum(), torch.tensor(1e-8, dtype=torch.float64), rtol=0.1)


def test_sums_that_are_not_finite_are_refused() -> None:
    sums = RidgeSums(2)
    sums.absorb(torch.full((1, 2), torch.inf, dtype=torch.float64), torch.zeros(1, 0, dtype=torch.float64))
    with pytest.raises(Diverged, match="not finite"):
        sums.solution(1.0)


@pytest.mark.parametrize("rows", [40, 90])
def test_errors_of_all_ridges_are_those_of_direct_solves(rows: int) -> None:
    """Fewer and more rows than columns: either side of the decomposition."""
    x, y = fresh().expanded(FEATURES), TARGETS
    found = held_out_errors((x[:rows], y[:rows]), (x[rows:], y[rows:]))
    for ridge, error in zip(RIDGES, found, strict=True):
        if ridge >= 1e-2:
            weights = direct(x[:rows], y[:rows], ridge)
            assert error == pytest.approx(float((x[rows:] @ weights - y[rows:]).square().mean()), rel=1e-10)


def test_the_chosen_ridge_has_the_smallest_error_on_the_last_fifth_of_a_shuffled_pass() -> None:
    x = fresh().expanded(FEATURES)
    order = torch.randperm(120, generator=generator(5))
    fit, rest = order[:96], order[96:]
    errors = {
        ridge: float((x[rest] @ direct(x[fit], TARGETS[fit], ridge) - TARGETS[rest]).square().mean())
        for ridge in RIDGES
        if ridge >= 1e-2
    }
    assert best_ridge(x, TARGETS, generator(5)) == min(errors, key=lambda ridge: errors[ridge])


def test_of_equal_errors_the_smallest_ridge_is_chosen() -> None:
    zeros = torch.zeros(10, 3, dtype=torch.float64)
    assert best_ridge(zeros, torch.ones(10, 1, dtype=torch.float64), generator()) == RIDGES[0]


def test_a_restored_head_continues_bit_for_bit() -> None:
    head, again = fresh(3), RidgeHead(WIDTH, EXPANSION)
    absorb(head, torch.nonzero(LABELS < 3).flatten())
    restore(again, head.state_dict())
    for one in (head, again):
        one.grow(3, generator())
        absorb(one, torch.nonzero(LABELS >= 3).flatten())
        one.solve(0.1)
    assert torch.equal(head.weight, again.weight)
