"""The recursive ridge regression, against the one in closed form on all data."""

from __future__ import annotations

from itertools import pairwise

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from cil_core.engine.checkpoint import restore
from cil_core.nets.analytic import AnalyticHead
from cil_core.nets.heads import LinearHead

CLASSES, WIDTH, EXPANSION, RIDGE = 6, 8, 40, 0.1


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


LABELS = torch.arange(120) % CLASSES
FEATURES = torch.randn(120, WIDTH, generator=generator(1)) + F.one_hot(LABELS, WIDTH)


def fresh(classes: int = CLASSES) -> AnalyticHead:
    head = LinearHead(WIDTH, bias=False)
    head.grow(classes, generator())
    return AnalyticHead.replacing(head, EXPANSION, RIDGE, generator(7))


def joint(head: AnalyticHead, features: Tensor = FEATURES, labels: Tensor = LABELS) -> Tensor:
    """(XᵀX + γI)⁻¹ Xᵀ Y, as rows of classes."""
    x = F.relu(features.double() @ head.projection.T)
    return torch.linalg.solve(
        x.T @ x + RIDGE * torch.eye(EXPANSION, dtype=torch.float64), x.T @ F.one_hot(labels, CLASSES).double()
    ).T


def error(head: AnalyticHead) -> float:
    return float((head.weight - joint(head)).abs().max() / joint(head).abs().max())


@settings(max_examples=30)
@given(sizes=st.lists(st.integers(1, 60), min_size=1, max_size=8), seed=st.integers(0, 1000))
def test_any_order_and_split_into_batches_gives_the_joint_solution(sizes: list[int], seed: int) -> None:
    head = fresh()
    order = torch.randperm(120, generator=generator(seed))
    bounds = [0, *(min(120, sum(sizes[: index + 1])) for index in range(len(sizes))), 120]
    for low, high in pairwise(bounds):
        if low < high:
            head.absorb(FEATURES[order[low:high]], LABELS[order[low:high]])
    assert error(head) < 1e-11


@pytest.mark.parametrize("bounds", [(0, 6), (0, 2, 4, 6), (0, 1, 2, 3, 4, 5, 6), (0, 5, 6)])
def test_any_split_into_tasks_gives_the_joint_solution(bounds: tuple[int, ...]) -> None:
    """Rows of classes that arrive later start at zero, which is where the regression of zeros stands."""
    head = fresh(bounds[1])
    for task, (low, high) in enumerate(pairwise(bounds)):
        if task:
            head.grow(high - low, generator())
        members = (low <= LABELS) & (high > LABELS)
        head.absorb(FEATURES[members], LABELS[members])
    assert head.classes == CLASSES
    assert error(head) < 1e-11


def test_the_inverse_is_that_of_the_ridge_problem_and_symmetric() -> None:
    head = fresh()
    for index in torch.arange(120).split(17):
        head.absorb(FEATURES[index], LABELS[index])
    x = head.expanded(FEATURES)
    expected = torch.linalg.inv(x.T @ x + RIDGE * torch.eye(EXPANSION, dtype=torch.float64))
    assert torch.allclose(head.inverse, expected, atol=1e-10)
    assert torch.equal(head.inverse, head.inverse.T)


def test_logits_are_the_weights_times_the_rectified_projection() -> None:
    head = fresh()
    head.absorb(FEATURES, LABELS)
    expected = torch.clamp(FEATURES.double() @ head.projection.T, min=0) @ head.weight.T
    assert torch.allclose(head(FEATURES), expected)
    assert (expected.argmax(dim=1) == LABELS).double().mean() > 0.5


def test_the_projection_is_uniform_within_one_over_the_root_of_the_width_and_never_trained() -> None:
    head = fresh()
    bound = WIDTH**-0.5
    assert 0.95 * bound < head.projection.abs().max() <= bound
    before = head.projection.clone()
    head.absorb(FEATURES, LABELS)
    assert torch.equal(head.projection, before)
    assert not any(parameter.requires_grad for parameter in head.parameters())


def test_logits_are_zero_before_any_data() -> None:
    head = fresh()
    assert torch.equal(head(FEATURES), torch.zeros(120, CLASSES, dtype=torch.float64))
    assert torch.equal(head.inverse, torch.eye(EXPANSION, dtype=torch.float64) / RIDGE)


def test_a_restored_head_continues_bit_for_bit() -> None:
    head, again = fresh(), fresh()
    head.absorb(FEATURES[:50], LABELS[:50])
    restore(again, head.state_dict())
    for one in (head, again):
        one.absorb(FEATURES[50:], LABELS[50:])
    assert torch.equal(head.weight, again.weight)
