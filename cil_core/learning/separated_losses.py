"""Losses in which new and old classes do not compete (ER-ACE, SS-IL): tensors in, a scalar out.

Notation: B images, o known classes, n seen ones.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor


def present_cross_entropy(logits: Tensor, labels: Tensor) -> Tensor:
    """Softmax cross-entropy among the classes that occur in `labels` (ER-ACE, Caccia et al. 2022).

    Logits of absent classes get gradient exactly 0.

    Args:
        logits: (B, n).
        labels: (B,).
    """
    present = torch.bincount(labels, minlength=logits.shape[1]) > 0
    return F.cross_entropy(logits.masked_fill(~present, -torch.inf), labels)


def separated_cross_entropy(logits: Tensor, labels: Tensor, known: int) -> Tensor:
    """Softmax cross-entropy among new classes for new images, among old ones for old images (SS-IL).

    It is summed over both kinds and divided by B, so each image weighs the same.

    Args:
        logits: (B, n).
        labels: (B,), of any class.
        known: o.
    """
    new_image = labels >= known
    new_class = torch.arange(logits.shape[1], device=labels.device) >= known
    foreign = new_image[:, None] != new_class  # (B, n)
    return F.cross_entropy(logits.masked_fill(foreign, -torch.inf), labels)


def taskwise_distillation(
    student: Tensor, teacher: Tensor, bounds: Sequence[int], temperature: float
) -> Tensor:
    """Sum over old tasks of T² · KL(teacher ‖ student), each with a softmax of its own (SS-IL).

    Args:
        student: logits (B, o).
        teacher: logits (B, o), constants.
        bounds: class boundaries of the old tasks, (0, first, …, o).
        temperature: T of all softmaxes.
    """
    terms = [
        F.kl_div(
            F.log_softmax(student[:, low:high] / temperature, dim=1),
            F.log_softmax(teacher[:, low:high] / temperature, dim=1),
            reduction="batchmean",
            log_target=True,
        )
        for low, high in pairwise(bounds)
    ]
    return temperature**2 * torch.stack(terms).sum()
