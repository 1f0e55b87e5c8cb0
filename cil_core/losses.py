"""Losses: tensors in, a scalar tensor out. None of them sees a method, a network or a trainer.

Notation: B images, o known classes, k new ones, n = o + k.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn


def slice_cross_entropy(logits: Tensor, labels: Tensor, known: int) -> Tensor:
    """Softmax cross-entropy over the new classes alone; every label must be a new class.

    Args:
        logits: (B, n).
        labels: (B,), in known … n − 1.
        known: o.
    """
    return F.cross_entropy(logits[:, known:], labels - known)


def distillation(student: Tensor, teacher: Tensor, temperature: float) -> Tensor:
    """Cross-entropy from the softened teacher to the softened student, without the factor T² (Hinton et al. 2015; PyCIL's form).

    At student = teacher its value is the teacher's entropy and its gradient is 0.

    Args:
        student: logits (B, o).
        teacher: logits (B, o), constants.
        temperature: T of both softmaxes.
    """
    target = F.softmax(teacher / temperature, dim=1)
    return -(target * F.log_softmax(student / temperature, dim=1)).sum(dim=1).mean()


def icarl_binary_cross_entropy(logits: Tensor, labels: Tensor, teacher: Tensor | None, classes: int) -> Tensor:
    """Per-class binary cross-entropy (iCaRL, algorithm 3), summed over seen classes and divided by images × `classes`.

    New columns are trained towards the one-hot label, old columns towards the old network's sigmoid outputs, for every image: the labels
    of exemplars are not used.

    Args:
        logits: (B, n).
        labels: (B,).
        teacher: old logits (B, o), or None in the first task.
        classes: classes of the whole protocol: the official code averages over all of them, which its learning rate of 2 relies on.
    """
    target = F.one_hot(labels, logits.shape[1]).to(logits.dtype)
    if teacher is not None:
        target = torch.cat([torch.sigmoid(teacher), target[:, teacher.shape[1] :]], dim=1)
    return F.binary_cross_entropy_with_logits(logits, target, reduction="sum") / (len(logits) * classes)


def l2_distance(model: nn.Module, reference: nn.Module) -> Tensor:
    """(1/2) ‖θ − θ_ref‖² over the parameters both have; of a grown tensor, its first rows (L2-SP, Li et al. 2018)."""
    old = dict(reference.named_parameters())
    terms = [
        (parameter[: len(old[name])] - old[name]).square().sum() if parameter.dim() else (parameter - old[name]).square()
        for name, parameter in model.named_parameters()
        if name in old
    ]
    return torch.stack(terms).sum() / 2
