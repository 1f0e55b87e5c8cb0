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
from cil_core.nets.analytic import AnalyticHead, DualStreamHead, KernelHead, median_distance
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


# ------------------------------------------------------------------ two streams


def dual(strength: float = 0.6, classes: int = CLASSES) -> DualStreamHead:
    head = LinearHead(WIDTH, bias=False)
    head.grow(classes, generator())
    return DualStreamHead(WIDTH, EXPANSION, RIDGE, 0.3, strength).drawn(head, generator(7))


def learn_dual(head: DualStreamHead, features: Tensor, labels: Tensor, known: int, batch: int = 200) -> None:
    for index in torch.arange(len(labels)).split(batch):
        head.absorb(features[index], labels[index])
    for index in torch.arange(len(labels)).split(batch):
        head.compensate(features[index], labels[index], known)


def test_the_main_stream_is_the_single_regression_bit_for_bit() -> None:
    head, single = dual(), fresh()
    learn_dual(head, FEATURES, LABELS, 0)
    single.absorb(FEATURES, LABELS)
    assert torch.equal(head.projection, single.projection)
    assert torch.equal(head.weight, single.weight)


def test_without_strength_predictions_are_those_of_the_single_regression() -> None:
    head, single = dual(strength=0.0), fresh()
    learn_dual(head, FEATURES, LABELS, 0)
    single.absorb(FEATURES, LABELS)
    assert torch.equal(head(FEATURES), single(FEATURES))


def test_the_compensation_is_the_ridge_regression_of_stored_residuals() -> None:
    """Two tasks; each residual is that of the weights after its task, with old columns cleared."""
    head, inputs, residuals = dual(classes=4), [], []
    for known, seen in ((0, 4), (4, 6)):
        if known:
            head.grow(seen - known, generator())
        members = (known <= LABELS) & (seen > LABELS)
        learn_dual(head, FEATURES[members], LABELS[members], known, batch=13)
        projected = FEATURES[members].double() @ head.projection.T
        residual = (
            F.one_hot(LABELS[members], CLASSES)
            - F.relu(projected) @ F.pad(head.weight, (0, 0, 0, CLASSES - seen)).T
        )
        residual[:, :known] = 0
        inputs.append(projected.tanh())
        residuals.append(residual)
    x, y = torch.cat(inputs), torch.cat(residuals)
    expected = torch.linalg.solve(x.T @ x + 0.3 * torch.eye(EXPANSION, dtype=torch.float64), x.T @ y).T
    assert (head.compensation.weight - expected).abs().max() < 1e-10 * expected.abs().max()


@pytest.mark.parametrize("batch", [1, 17])
def test_two_passes_do_not_depend_on_batches(batch: int) -> None:
    whole, split = dual(), dual()
    learn_dual(whole, FEATURES, LABELS, 0)
    learn_dual(split, FEATURES, LABELS, 0, batch)
    assert torch.allclose(split.compensation.weight, whole.compensation.weight, atol=1e-10)


def test_two_streams_add_up() -> None:
    head = dual()
    learn_dual(head, FEATURES, LABELS, 0)
    projected = FEATURES.double() @ head.projection.T
    expected = F.relu(projected) @ head.weight.T + 0.6 * projected.tanh() @ head.compensation.weight.T
    assert torch.allclose(head(FEATURES), expected)


# ------------------------------------------------------------------ kernels


def kernel(centres: Tensor, sigma: float = 1.0, classes: int = CLASSES) -> KernelHead:
    head = KernelHead(centres.shape[1], RIDGE)
    head.grow(classes, generator())
    head.place(centres, sigma)
    return head


def test_similarities_by_hand() -> None:
    """Distances 0 and 5 at σ = 10: 1 and exp(−25 / 200)."""
    head = kernel(torch.tensor([[0.0, 0.0], [3.0, 4.0]]), 10.0)
    assert head.expanded(torch.zeros(1, 2))[0].tolist() == [1, pytest.approx(0.88250, abs=5e-6)]


def test_the_kernel_matrix_of_the_centres_is_positive_semidefinite_with_ones_on_its_diagonal() -> None:
    matrix = kernel(FEATURES).expanded(FEATURES)
    assert torch.allclose(matrix.diagonal(), torch.ones(120, dtype=torch.float64))
    assert torch.allclose(matrix, matrix.T)
    assert bool(((matrix > 0) & (matrix <= 1 + 1e-12)).all())
    assert float(torch.linalg.eigvalsh(matrix).min()) > -1e-10


def test_rotating_features_and_centres_together_changes_nothing() -> None:
    rotation = torch.linalg.qr(torch.randn(WIDTH, WIDTH, generator=generator(3), dtype=torch.float64)).Q
    plain, rotated = kernel(FEATURES[:30]), kernel(FEATURES[:30].double() @ rotation)
    plain.absorb(FEATURES, LABELS)
    rotated.absorb(FEATURES.double() @ rotation, LABELS)
    assert torch.allclose(plain.weight, rotated.weight, atol=1e-8)


def test_any_split_gives_the_joint_regression_on_similarities() -> None:
    head = kernel(FEATURES[:25], classes=2)
    for low, high in ((0, 2), (2, 5), (5, 6)):
        if low:
            head.grow(high - low, generator())
        members = torch.nonzero((low <= LABELS) & (high > LABELS)).flatten()
        for index in members.split(11):
            head.absorb(FEATURES[index], LABELS[index])
    x = torch.cdist(FEATURES.double(), FEATURES[:25].double()).square().div(-2).exp()
    expected = torch.linalg.solve(
        x.T @ x + RIDGE * torch.eye(25, dtype=torch.float64), x.T @ F.one_hot(LABELS, CLASSES).double()
    ).T
    assert (head.weight - expected).abs().max() < 1e-9 * expected.abs().max()


class LinearKernelHead(KernelHead):
    """k = C f."""

    def expanded(self, features: Tensor) -> Tensor:
        return features.double() @ self.centres.T


def test_with_a_linear_kernel_and_orthonormal_centres_it_is_ridge_regression() -> None:
    centres = torch.linalg.qr(torch.randn(WIDTH, WIDTH, generator=generator(3), dtype=torch.float64)).Q
    head = LinearKernelHead(WIDTH, RIDGE)
    head.grow(CLASSES, generator())
    head.place(centres, 1.0)
    head.absorb(FEATURES, LABELS)
    x = FEATURES.double()
    plain = torch.linalg.solve(
        x.T @ x + RIDGE * torch.eye(WIDTH, dtype=torch.float64), x.T @ F.one_hot(LABELS).double()
    )
    assert torch.allclose(head(FEATURES), x @ plain, atol=1e-12)


def test_the_median_distance_of_points_on_a_line() -> None:
    """0, 1 and 10: a pair is 1, 9 or 10 apart, each with the same probability."""
    points = torch.tensor([[0.0], [1.0], [10.0]])
    assert median_distance(points, 1000, generator()) == 9
