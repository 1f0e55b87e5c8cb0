"""The losses of ER-ACE and SS-IL against values by hand."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from cil_core.learning.separated_losses import (
    present_cross_entropy,
    separated_cross_entropy,
    taskwise_distillation,
)


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def test_absent_classes_do_not_compete_and_get_no_gradient() -> None:
    """z = (2, 1, 0), y = 2; a second image makes class 1 present and has loss log(1 + e^0) by symmetry."""
    logits = torch.tensor([[2.0, 1.0, 0.0], [9.0, 5.0, 5.0]], requires_grad=True)
    labels = torch.tensor([2, 1])
    loss = present_cross_entropy(logits, labels)
    assert loss.item() == pytest.approx((1.31326 + 0.69315) / 2, abs=1e-5)
    (gradient,) = torch.autograd.grad(2 * loss, logits)
    assert gradient[0].tolist() == pytest.approx([0.0, 0.73106, -0.73106], abs=1e-5)
    assert gradient[:, 0].tolist() == [0.0, 0.0]


def test_a_class_alone_in_its_batch_has_loss_zero() -> None:
    logits = torch.tensor([[2.0, 1.0, 0.0]], requires_grad=True)
    loss = present_cross_entropy(logits, torch.tensor([2]))
    assert loss.item() == 0
    assert not torch.autograd.grad(loss, logits)[0].any()


def test_a_label_above_every_other_label_of_the_batch_opens_no_column_beyond_it() -> None:
    """Public codes also admit every column from the largest label seen on."""
    logits = torch.tensor([[1.0, 2.0, 50.0]])
    assert present_cross_entropy(logits, torch.tensor([1])).item() == 0


def test_a_batch_with_all_classes_is_plain_cross_entropy() -> None:
    logits = torch.tensor([[2.0, 1.0, 0.0]]).repeat(3, 1)
    labels = torch.tensor([2, 1, 0])
    assert F.cross_entropy(logits[:1], labels[:1]).item() == pytest.approx(2.40761, abs=1e-5)
    assert present_cross_entropy(logits, labels) == F.cross_entropy(logits, labels)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_absent_classes_are_removed_in_half_precision_too(dtype: torch.dtype) -> None:
    logits = torch.tensor([[2.0, 1.0, 0.0], [0.0, 0.0, 1.0]], dtype=dtype)
    assert present_cross_entropy(logits, torch.tensor([1, 2])).isfinite()


def test_new_images_leave_old_rows_alone_and_exemplars_leave_new_rows_alone() -> None:
    logits = torch.randn(6, 5, generator=generator()).requires_grad_()
    labels = torch.tensor([0, 3, 4, 2, 1, 4])
    (gradient,) = torch.autograd.grad(separated_cross_entropy(logits, labels, known=3), logits)
    new = labels >= 3
    assert not gradient[new, :3].any()
    assert not gradient[~new, 3:].any()
    assert gradient[new, 3:].any()
    assert gradient[~new, :3].any()


def test_each_image_weighs_the_same_though_there_are_more_new_ones() -> None:
    logits = torch.randn(5, 4, generator=generator())
    labels = torch.tensor([2, 3, 3, 2, 1])
    new = F.cross_entropy(logits[:4, 2:], labels[:4] - 2, reduction="sum")
    old = F.cross_entropy(logits[4:, :2], labels[4:], reduction="sum")
    assert separated_cross_entropy(logits, labels, known=2).item() == pytest.approx(
        float(new + old) / 5, rel=1e-5
    )


@pytest.mark.parametrize("known", [1, 2, 3])
def test_labels_count_from_the_first_new_class_for_any_size_of_the_tasks(known: int) -> None:
    """A remainder by the task's size is right only where old classes are a multiple of new ones."""
    logits = torch.randn(2, 5, generator=generator())
    labels = torch.tensor([known, 4])
    expected = F.cross_entropy(logits[:, known:], labels - known)
    assert separated_cross_entropy(logits, labels, known).item() == pytest.approx(expected.item(), rel=1e-6)


def test_distillation_from_one_task_is_hinton_s_over_all_old_classes() -> None:
    student, teacher = torch.randn(4, 3, generator=generator()), torch.randn(4, 3, generator=generator(1))
    p, q = (teacher / 2).softmax(dim=1), (student / 2).softmax(dim=1)
    expected = 4 * (p * (p / q).log()).sum() / 4
    found = taskwise_distillation(student, teacher, (0, 3), 2.0)
    assert found.item() == pytest.approx(expected.item(), rel=1e-5)


def test_distillation_is_zero_with_its_gradient_where_both_networks_agree() -> None:
    student = torch.randn(4, 5, generator=generator()).requires_grad_()
    loss = taskwise_distillation(student, student.detach(), (0, 2, 5), 2.0)
    assert loss.item() == pytest.approx(0, abs=1e-6)
    assert torch.autograd.grad(loss, student)[0].abs().max() < 1e-6


def test_shifting_all_logits_of_one_task_changes_nothing() -> None:
    student, teacher = torch.randn(4, 5, generator=generator()), torch.randn(4, 5, generator=generator(1))
    shifted = student + torch.tensor([3.0, 3.0, 0.0, 0.0, 0.0])
    found = taskwise_distillation(shifted, teacher, (0, 2, 5), 2.0)
    assert found.item() == pytest.approx(
        taskwise_distillation(student, teacher, (0, 2, 5), 2.0).item(), abs=1e-5
    )
    apart = taskwise_distillation(shifted, teacher, (0, 5), 2.0)
    assert apart.item() != pytest.approx(
        taskwise_distillation(student, teacher, (0, 5), 2.0).item(), abs=1e-3
    )
