"""Basic losses and those of regularisation methods, against hand-computed numbers and other formulae."""

from __future__ import annotations

import copy
import math

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

from cil_core.learning.losses import (
    distillation,
    frobenius_distance,
    icarl_binary_cross_entropy,
    l2_distance,
    slice_cross_entropy,
    stored_logits_distance,
    task_cross_entropy,
)


def random(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def gradient(loss: Tensor, of: Tensor) -> Tensor:
    return torch.autograd.grad(loss, of)[0]


# ------------------------------------------------------------------ cross-entropy over the new classes


def test_slice_cross_entropy_by_hand() -> None:
    logits = torch.tensor([[9.0, 0.0, math.log(3)]])
    assert slice_cross_entropy(logits, torch.tensor([2]), 1).item() == pytest.approx(-math.log(3 / 4))


def test_slice_cross_entropy_gives_old_columns_no_gradient() -> None:
    logits = random(6, 5).requires_grad_()
    moved = gradient(slice_cross_entropy(logits, torch.tensor([3, 4, 3, 2, 2, 4]), 2), logits)
    assert torch.equal(moved[:, :2], torch.zeros(6, 2, dtype=torch.float64))
    assert moved[:, 2:].abs().min() > 0


def test_slice_cross_entropy_without_old_classes_is_cross_entropy() -> None:
    logits, labels = random(6, 5), torch.tensor([3, 4, 0, 2, 1, 4])
    assert torch.equal(slice_cross_entropy(logits, labels, 0), F.cross_entropy(logits, labels))


# ------------------------------------------------------------------ distillation


def test_distillation_by_hand() -> None:
    teacher, student = torch.tensor([[2 * math.log(3), 0.0]]), torch.tensor([[0.0, 2 * math.log(4)]])
    assert distillation(student, teacher, 2.0).item() == pytest.approx(
        -(3 / 4 * math.log(1 / 5) + 1 / 4 * math.log(4 / 5))
    )


def test_distillation_is_divergence_plus_the_teachers_entropy_without_temperature_squared() -> None:
    student, teacher = random(8, 4), random(8, 4, seed=1)
    soft = F.softmax(teacher / 3, dim=1)
    divergence = F.kl_div(F.log_softmax(student / 3, dim=1), soft, reduction="batchmean")
    assert distillation(student, teacher, 3.0).item() == pytest.approx(
        (divergence - (soft * soft.log()).sum(1).mean()).item()
    )


def test_distillation_has_zero_gradient_at_the_teacher_and_its_entropy_as_value() -> None:
    student = random(8, 4).requires_grad_()
    loss = distillation(student, student.detach(), 2.0)
    assert loss.item() > 0
    assert gradient(loss, student).abs().max() < 1e-12


def test_the_gradient_of_distillation_is_the_difference_of_softmaxes() -> None:
    student, teacher = random(8, 4).requires_grad_(), random(8, 4, seed=1)
    expected = (F.softmax(student / 2, dim=1) - F.softmax(teacher / 2, dim=1)) / (2 * 8)
    assert torch.allclose(gradient(distillation(student, teacher, 2.0), student), expected)


# ------------------------------------------------------------------ iCaRL's binary cross-entropy


@given(known=st.integers(0, 5), new=st.integers(1, 4), images=st.integers(1, 6), seed=st.integers(0, 1000))
def test_the_gradient_of_icarls_loss_is_prediction_minus_target(
    known: int, new: int, images: int, seed: int
) -> None:
    """Targets of old images are the old outputs and zero in new columns; labels have no effect."""
    logits = random(images, known + new, seed=seed).requires_grad_()
    teacher = random(images, known, seed=seed + 1) if known else None
    labels = torch.randint(known + new, (images,), generator=torch.Generator().manual_seed(seed))
    target = torch.zeros(images, known + new, dtype=torch.float64)
    for image, label in enumerate(labels.tolist()):
        if label >= known:
            target[image, label] = 1
    if teacher is not None:
        target[:, :known] = 1 / (1 + torch.exp(-teacher))
    moved = gradient(icarl_binary_cross_entropy(logits, labels, teacher, 10), logits)
    assert torch.allclose(moved, (1 / (1 + torch.exp(-logits)) - target) / (images * 10))


def test_icarls_loss_has_no_gradient_on_old_columns_where_student_and_teacher_agree() -> None:
    logits = random(4, 5).requires_grad_()
    moved = gradient(
        icarl_binary_cross_entropy(logits, torch.tensor([0, 3, 4, 1]), logits.detach()[:, :3], 5), logits
    )
    assert moved[:, :3].abs().max() < 1e-12
    assert moved[:, 3:].abs().min() > 0


def test_icarls_loss_by_hand() -> None:
    loss = icarl_binary_cross_entropy(torch.zeros(2, 3), torch.tensor([0, 2]), None, 4)
    assert loss.item() == pytest.approx(6 * math.log(2) / 8)


# ------------------------------------------------------------------ L2-SP


def test_l2_distance_by_hand_compares_grown_tensors_on_their_first_rows() -> None:
    reference, model = nn.Linear(2, 2), nn.Linear(2, 3)
    with torch.no_grad():
        reference.weight.zero_()
        reference.bias.zero_()
        model.weight.copy_(torch.tensor([[1.0, 2], [3, 4], [50, 60]]))
        model.bias.copy_(torch.tensor([1.0, -1, 70]))
    assert l2_distance(model, reference).item() == pytest.approx((1 + 4 + 9 + 16 + 1 + 1) / 2)


def test_l2_distance_counts_scalars_and_pulls_towards_the_reference() -> None:
    model = nn.Module()
    model.scale = nn.Parameter(torch.tensor(3.0))
    reference = copy.deepcopy(model)
    with torch.no_grad():
        reference.scale.fill_(1.0)
    loss = l2_distance(model, reference)
    assert loss.item() == 2
    assert gradient(loss, model.scale).item() == 2
    assert l2_distance(model, model).item() == 0


# ------------------------------------------------------------------ GEM and A-GEM


def test_task_cross_entropy_compares_classes_of_one_task_only() -> None:
    logits, bounds = random(5, 7), (0, 2, 3, 7)
    labels = torch.tensor([1, 2, 6, 0, 3])
    slices = {0: (0, 2), 1: (0, 2), 2: (2, 3), 3: (3, 7), 6: (3, 7)}
    expected = (
        sum(
            F.cross_entropy(logits[i : i + 1, slice(*slices[y])], torch.tensor([y - slices[y][0]]))
            for i, y in enumerate(labels.tolist())
        )
        / 5
    )
    assert task_cross_entropy(logits, labels, bounds).item() == pytest.approx(float(expected))


def test_task_cross_entropy_of_the_newest_task_is_slice_cross_entropy() -> None:
    logits, labels = random(5, 7), torch.tensor([3, 4, 5, 6, 3])
    assert task_cross_entropy(logits, labels, (0, 2, 3, 7)).item() == pytest.approx(
        slice_cross_entropy(logits, labels, 3).item()
    )


def test_task_cross_entropy_has_no_gradient_on_classes_of_other_tasks() -> None:
    logits = random(2, 4).requires_grad_()
    moved = gradient(task_cross_entropy(logits, torch.tensor([0, 3]), (0, 2, 4)), logits)
    assert torch.equal(moved == 0, torch.tensor([[False, False, True, True], [True, True, False, False]]))


# ------------------------------------------------------------------ DER++


def test_distance_to_stored_logits_by_hand() -> None:
    logits = torch.tensor([[1.0, 2, 9, 9], [1, 2, 3, 9]])
    stored = torch.tensor([[0.0, 0, 77], [1, 0, 0]])
    expected = ((1 + 4) / 2 + (0 + 4 + 9) / 3) / 2
    assert stored_logits_distance(logits, stored, torch.tensor([2, 3])).item() == pytest.approx(expected)


def test_distance_to_stored_logits_of_equal_width_is_the_mean_squared_error() -> None:
    logits, stored = random(6, 4), random(6, 4, seed=1)
    assert stored_logits_distance(logits, stored, torch.full((6,), 4)).item() == pytest.approx(
        F.mse_loss(logits, stored).item()
    )


def test_distance_to_stored_logits_has_no_gradient_on_later_classes() -> None:
    logits = random(2, 4).requires_grad_()
    moved = gradient(stored_logits_distance(logits, random(2, 3, seed=1), torch.tensor([1, 3])), logits)
    assert torch.equal(moved != 0, torch.tensor([[True, False, False, False], [True, True, True, False]]))


# ------------------------------------------------------------------ PASS


def test_frobenius_distance_is_the_norm_of_the_whole_batch() -> None:
    assert frobenius_distance(
        torch.tensor([[3.0, 0], [0, 0]]), torch.tensor([[0.0, 0], [0, 4]])
    ).item() == pytest.approx(5)


def test_frobenius_distance_has_a_finite_gradient_where_it_is_zero() -> None:
    features = random(3, 2).requires_grad_()
    loss = frobenius_distance(features, features.detach())
    assert loss.item() == 0
    assert torch.equal(gradient(loss, features), torch.zeros(3, 2, dtype=torch.float64))


@pytest.mark.parametrize(
    "loss",
    [
        lambda z: slice_cross_entropy(z, torch.tensor([2, 3, 4]), 2),
        lambda z: distillation(z, random(3, 5, seed=5), 2.0),
        lambda z: icarl_binary_cross_entropy(z, torch.tensor([0, 3, 4]), random(3, 2, seed=5), 5),
        lambda z: task_cross_entropy(z, torch.tensor([0, 3, 4]), (0, 2, 5)),
        lambda z: stored_logits_distance(z, random(3, 4, seed=5), torch.tensor([2, 3, 4])),
        lambda z: frobenius_distance(z, random(3, 5, seed=5)),
    ],
    ids=["slice", "distillation", "icarl", "task", "stored", "frobenius"],
)
def test_gradients_agree_with_difference_quotients(loss: object) -> None:
    assert torch.autograd.gradcheck(loss, random(3, 5).requires_grad_())
