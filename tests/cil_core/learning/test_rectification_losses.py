"""Losses of BiC, WA, COIL, UCIR and PODNet, against hand-computed numbers and independent formulae."""

from __future__ import annotations

import math

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from cil_core.learning.losses import (
    feature_distillation,
    margin_ranking,
    neighbourhood_analysis,
    neighbourhood_analysis_as_coded,
    pooled_distance,
    shared_objective,
)


def random(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


LABELS = torch.tensor([0, 2, 4, 3])
SIMILARITIES = torch.tanh(random(4, 5))


# ------------------------------------------------------------------ (1 − λ) CE + λ KD


def test_the_first_task_has_cross_entropy_alone() -> None:
    logits = random(4, 5)
    losses = shared_objective(logits, LABELS, None, 2.0)
    assert losses.keys() == {"classification"}
    assert torch.equal(losses["classification"], F.cross_entropy(logits, LABELS))


@pytest.mark.parametrize("known", [1, 3, 4])
def test_old_and_new_are_weighted_by_their_shares_of_the_classes(known: int) -> None:
    logits, teacher = random(4, 5), random(4, known, seed=1)
    losses = shared_objective(logits, LABELS, teacher, 2.0)
    log_probability = logits[:, :known] / 2 - torch.logsumexp(logits[:, :known] / 2, dim=1, keepdim=True)
    soft = torch.exp(teacher / 2) / torch.exp(teacher / 2).sum(dim=1, keepdim=True)
    assert losses["classification"].item() == pytest.approx(
        (1 - known / 5) * F.cross_entropy(logits, LABELS).item()
    )
    assert losses["distillation"].item() == pytest.approx(
        known / 5 * -(soft * log_probability).sum().item() / 4
    )


def test_distillation_has_no_gradient_where_student_and_teacher_agree() -> None:
    logits = random(4, 5).requires_grad_()
    shared_objective(logits, LABELS, logits.detach()[:, :3], 2.0)["distillation"].backward()
    assert logits.grad is not None
    assert logits.grad.abs().max() < 1e-12


# ------------------------------------------------------------------ UCIR


def test_feature_distillation_by_hand() -> None:
    new, old = torch.tensor([[1.0, 0.0], [3.0, 4.0]]), torch.tensor([[0.0, 2.0], [3.0, 4.0]])
    assert feature_distillation(new, old).item() == pytest.approx((1 + 0) / 2)


def test_feature_distillation_ignores_norms_and_has_no_gradient_at_the_old_features() -> None:
    old = random(4, 6)
    new = random(4, 6, seed=1)
    assert feature_distillation(3 * new, 0.5 * old).item() == pytest.approx(
        feature_distillation(new, old).item()
    )
    same = old.clone().requires_grad_()
    loss = feature_distillation(same, old)
    loss.backward()
    assert loss.item() == pytest.approx(0, abs=1e-12)
    assert same.grad is not None
    assert same.grad.abs().max() < 1e-12


def test_margin_ranking_by_hand() -> None:
    similarities = torch.tensor(
        [[0.5, 0.0, 0.3, 0.1, -0.9], [0.0, 0.1, 0.9, 0.0, 0.0], [0.2, 0.4, 0.0, 0.8, 0.1]]
    )
    labels = torch.tensor([0, 2, 1])  # the second image is of a new class
    expected = [0.5 - 0.5 + 0.3, 0.5 - 0.5 + 0.1, 0.5 - 0.4 + 0.8, 0.5 - 0.4 + 0.1]
    assert margin_ranking(similarities, labels, 2, 0.5, 2).item() == pytest.approx(sum(expected) / 4)


def test_margin_ranking_is_zero_where_the_margin_is_met() -> None:
    similarities = torch.tensor([[0.95, 0.0, 0.4, 0.3]], requires_grad=True)
    loss = margin_ranking(similarities, torch.tensor([0]), 2, 0.5, 2)
    loss.backward()
    assert loss.item() == 0
    assert similarities.grad is not None
    assert similarities.grad.abs().max() == 0


def test_margin_ranking_without_old_images_is_zero() -> None:
    assert margin_ranking(SIMILARITIES, torch.tensor([3, 4, 3, 4]), 3, 0.5, 2).item() == 0


def test_margin_ranking_compares_with_a_single_new_class_if_there_is_one() -> None:
    assert margin_ranking(torch.tensor([[0.2, 0.1]]), torch.tensor([0]), 1, 0.5, 2).item() == pytest.approx(
        0.4
    )


# ------------------------------------------------------------------ PODNet


def literal_nca(similarities: Tensor, labels: Tensor, scale: float, margin: float) -> float:
    total = 0.0
    for row, label in zip(similarities.tolist(), labels.tolist(), strict=True):
        others = sum(math.exp(scale * value) for c, value in enumerate(row) if c != label)
        total += max(0.0, -math.log(math.exp(scale * (row[label] - margin)) / others))
    return total / len(labels)


def coded_nca(similarities: Tensor, labels: Tensor, scale: float) -> float:
    total = 0.0
    for row, label in zip(similarities.tolist(), labels.tolist(), strict=True):
        top = max(row)
        others = 1 + sum(math.exp(scale * (value - top)) for c, value in enumerate(row) if c != label)
        total += max(0.0, math.log(others) - scale * (row[label] - top))
    return total / len(labels)


@pytest.mark.parametrize("scale", [1.0, 4.0])
@pytest.mark.parametrize("margin", [0.0, 0.6])
def test_nca_of_the_paper_is_the_literal_formula(scale: float, margin: float) -> None:
    loss = neighbourhood_analysis(SIMILARITIES, LABELS, torch.tensor(scale), margin)
    assert loss.item() == pytest.approx(literal_nca(SIMILARITIES, LABELS, scale, margin))


@pytest.mark.parametrize("scale", [1.0, 4.0])
def test_nca_as_coded_keeps_the_correct_class_in_the_denominator(scale: float) -> None:
    loss = neighbourhood_analysis_as_coded(SIMILARITIES, LABELS, torch.tensor(scale), 0.6)
    assert loss.item() == pytest.approx(coded_nca(SIMILARITIES, LABELS, scale))
    assert loss.item() != pytest.approx(literal_nca(SIMILARITIES, LABELS, scale, 0.0))


def test_the_margin_affects_nca_of_the_paper_only() -> None:
    scale = torch.tensor(2.0)
    assert neighbourhood_analysis_as_coded(SIMILARITIES, LABELS, scale, 0.6).item() == pytest.approx(
        neighbourhood_analysis_as_coded(SIMILARITIES, LABELS, scale, 0.0).item(), abs=1e-12
    )
    assert neighbourhood_analysis(SIMILARITIES, LABELS, scale, 0.6) > neighbourhood_analysis(
        SIMILARITIES, LABELS, scale, 0.0
    )


def test_a_margin_not_met_does_not_shrink_the_scale() -> None:
    similarities = torch.tensor([[0.3, 0.1]])  # right, by less than the margin
    scale = torch.tensor(1.0, requires_grad=True)
    loss = neighbourhood_analysis(similarities, torch.tensor([0]), scale, 0.6)
    loss.backward()
    assert loss.item() == pytest.approx(0.1 - 0.3 + 0.6)
    assert scale.grad is not None
    assert scale.grad.item() == pytest.approx(-0.2)  # a step against it makes the scale larger


@pytest.mark.parametrize("nca", [neighbourhood_analysis, neighbourhood_analysis_as_coded])
def test_the_gradient_of_nca_is_the_difference_quotient(nca: object) -> None:
    similarities = SIMILARITIES.clone().requires_grad_()
    assert torch.autograd.gradcheck(lambda s: nca(s, LABELS, torch.tensor(2.0), 0.6), similarities)  # type: ignore[operator]


def test_pooled_distance_by_hand() -> None:
    new = torch.tensor([[[[1.0, 0.0], [0.0, 0.0]]]])  # energy in the first row and the first column
    old = torch.tensor([[[[0.0, 0.0], [0.0, 2.0]]]])  # in the second of each
    # pooled: (1, 0, 1, 0) / √2 and (0, 4, 0, 4) / √32: orthogonal unit vectors
    assert pooled_distance([new], [old]).item() == pytest.approx(math.sqrt(2))
    assert pooled_distance([new, new], [old, new]).item() == pytest.approx(math.sqrt(2) / 2)


def test_pooled_distance_ignores_scale_and_sign_of_a_map() -> None:
    new, old = random(3, 2, 4, 4), random(3, 2, 4, 4, seed=1)
    expected = pooled_distance([new], [old]).item()
    assert pooled_distance(
        [-new * torch.tensor([1.0, 2.0, 0.5]).view(3, 1, 1, 1)], [old]
    ).item() == pytest.approx(expected)


def test_pooled_distance_has_no_gradient_at_equal_maps() -> None:
    same = random(3, 2, 4, 4).requires_grad_()
    loss = pooled_distance([same], [same.detach()])
    loss.backward()
    assert loss.item() == 0
    assert same.grad is not None
    assert same.grad.abs().max() == 0
