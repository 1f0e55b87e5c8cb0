"""Path integrals of a parabola against their closed form."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from cil_core.learning.path_integral import PathIntegral


class Point(nn.Module):
    """One parameter w, which starts at 0."""

    def __init__(self) -> None:
        super().__init__()
        self.w = nn.Parameter(torch.zeros((), dtype=torch.float64))


def descend(lr: float, steps: int) -> PathIntegral:
    """Plain gradient descent on (w − 1)² from 0: the loss drops by 1."""
    point = Point()
    path = PathIntegral(point)
    optimizer = torch.optim.SGD(point.parameters(), lr=lr)
    for _ in range(steps):
        optimizer.zero_grad()
        (point.w - 1).square().backward()
        path.before_step({"w": point.w.grad})
        optimizer.step()
        path.after_step()
    return path


@pytest.mark.parametrize(
    ("lr", "steps", "integral", "importance"),
    [(0.01, 2000, 1.0101, 0.91827), (0.1, 200, 1.1111, 1.0101), (0.5, 50, 2.0, 1.8182)],
)
def test_it_is_the_drop_of_the_loss_overstated_by_the_learning_rate(
    lr: float, steps: int, integral: float, importance: float
) -> None:
    """ω = 1 / (1 − lr · a / 2) with curvature a = 2; the displacement is 1."""
    path = descend(lr, steps)
    assert path.sums["w"].item() == pytest.approx(integral, rel=1e-4)
    assert path.sums["w"].item() == pytest.approx(1 / (1 - lr), rel=1e-6)
    assert path.importance(0.1)["w"].item() == pytest.approx(importance, rel=1e-4)


def test_small_steps_give_the_drop_of_the_loss_to_one_per_cent() -> None:
    assert descend(0.001, 8000).sums["w"].item() == pytest.approx(1.0, rel=0.01)


def test_without_a_step_the_importance_is_zero() -> None:
    assert PathIntegral(Point()).importance(0.1)["w"].item() == 0


def test_a_path_against_the_gradient_counts_as_zero() -> None:
    point = Point()
    path = PathIntegral(point)
    path.before_step({"w": torch.tensor(1.0)})
    with torch.no_grad():
        point.w.add_(0.5)
    path.after_step()
    assert path.sums["w"].item() == -0.5
    assert path.importance(0.1)["w"].item() == 0
