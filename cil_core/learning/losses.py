"""Losses: tensors in, a scalar tensor (or several, by name) out.

They depend on no method, network or trainer.

Notation: B images, o known classes, k new ones, n = o + k.
"""

from __future__ import annotations

from collections.abc import Sequence

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
    """Cross-entropy from the softened teacher to the softened student (Hinton et al. 2015).

    As in PyCIL, the factor T² is left out. At student = teacher its value is the teacher's entropy and its
    gradient is 0.

    Args:
        student: logits (B, o).
        teacher: logits (B, o), constants.
        temperature: T of both softmaxes.
    """
    target = F.softmax(teacher / temperature, dim=1)
    return -(target * F.log_softmax(student / temperature, dim=1)).sum(dim=1).mean()


def slice_distillation(
    logits: Tensor, labels: Tensor, known: int, teacher: Tensor | None, temperature: float, weight: float
) -> dict[str, Tensor]:
    """CE over the new classes + w · KD_T over the old ones, on new images.

    Args:
        logits: (B, n).
        labels: (B,), in known … n − 1.
        known: o.
        teacher: old logits (B, o), constants; None in the first task, where only cross-entropy remains.
        temperature: T of the distillation.
        weight: w.
    """
    losses = {"classification": slice_cross_entropy(logits, labels, known)}
    if teacher is not None:
        losses["distillation"] = weight * distillation(logits[:, :known], teacher, temperature)
    return losses


def icarl_binary_cross_entropy(
    logits: Tensor, labels: Tensor, teacher: Tensor | None, classes: int
) -> Tensor:
    """Per-class binary cross-entropy (iCaRL, algorithm 3).

    It is summed over seen classes and divided by images × `classes`.

    New columns are trained towards the one-hot label, old columns towards the old network's sigmoid outputs,
    for every image. The labels of exemplars have no effect.

    Args:
        logits: (B, n).
        labels: (B,).
        teacher: old logits (B, o), or None in the first task.
        classes: classes of the whole protocol. The official code averages over all of them, and its learning
            rate of 2 relies on that.
    """
    target = F.one_hot(labels, logits.shape[1]).to(logits.dtype)
    if teacher is not None:
        target = torch.cat([torch.sigmoid(teacher), target[:, teacher.shape[1] :]], dim=1)
    return F.binary_cross_entropy_with_logits(logits, target, reduction="sum") / (len(logits) * classes)


def l2_distance(model: nn.Module, reference: nn.Module) -> Tensor:
    """(1/2) ‖θ − θ_ref‖² over common parameters (L2-SP, Li et al. 2018); first rows of a grown tensor."""
    old = dict(reference.named_parameters())
    terms = [
        (parameter[: len(old[name])] - old[name]).square().sum()
        if parameter.dim()
        else (parameter - old[name]).square()
        for name, parameter in model.named_parameters()
        if name in old
    ]
    return torch.stack(terms).sum() / 2


def shared_objective(
    logits: Tensor, labels: Tensor, teacher: Tensor | None, temperature: float
) -> dict[str, Tensor]:
    """The objective of BiC, WA and COIL: (1 − λ) · CE over all classes + λ · KD_T over old ones, λ = o / n.

    Args:
        logits: (B, n).
        labels: (B,).
        teacher: old logits (B, o), constants; None in the first task, where only cross-entropy remains.
        temperature: T of the distillation.
    """
    classification = F.cross_entropy(logits, labels)
    if teacher is None:
        return {"classification": classification}
    known = teacher.shape[1]
    share = known / logits.shape[1]
    return {
        "classification": (1 - share) * classification,
        "distillation": share * distillation(logits[:, :known], teacher, temperature),
    }


def weighted_distillation(
    logits: Tensor, labels: Tensor, teacher: Tensor | None, temperature: float, weight: float
) -> dict[str, Tensor]:
    """CE over all seen classes + w · KD_T over the old ones: WA in the code of Zhou et al.'s survey (2024).

    Args:
        logits: (B, n).
        labels: (B,).
        teacher: old logits (B, o), constants; None in the first task, where only cross-entropy is left.
        temperature: T of the distillation.
        weight: w.
    """
    losses = {"classification": F.cross_entropy(logits, labels)}
    if teacher is not None:
        losses["distillation"] = weight * distillation(logits[:, : teacher.shape[1]], teacher, temperature)
    return losses


def feature_distillation(student: Tensor, teacher: Tensor) -> Tensor:
    """Mean of 1 − cos(f, f_old) over a batch of features (B, d).

    It is the less-forget constraint of UCIR (Hou et al. 2019) and POD-flat of PODNet (Douillard et al. 2020).
    """
    return (1 - F.cosine_similarity(student, teacher, dim=1)).mean()


def margin_ranking(similarities: Tensor, labels: Tensor, known: int, margin: float, hardest: int) -> Tensor:
    """Margin ranking of UCIR, which keeps old exemplars away from new classes.

    It is the mean of max(0, margin − a_y + a_c) over the most similar new classes c.

    Args:
        similarities: cosines a (B, n), before any scale.
        labels: (B,); images of new classes have no effect. Without an image of an old class the loss is 0.
        known: o.
        margin: m.
        hardest: number of new classes to compare with, at most all of them.
    """
    old = labels < known
    if not bool(old.any()):
        return similarities.new_zeros(())
    own = similarities[old].gather(1, labels[old, None])  # (O, 1)
    rivals = similarities[old, known:]  # (O, k)
    return F.relu(margin - own + rivals.topk(min(hardest, rivals.shape[1]), dim=1).values).mean()


def neighbourhood_analysis(similarities: Tensor, labels: Tensor, scale: Tensor, margin: float) -> Tensor:
    """NCA as the PODNet paper defines it: mean of [−log( exp(s (ŷ_y − δ)) / Σ over c ≠ y of exp(s ŷ_c) )]₊.

    In the term s·δ the scale counts as a constant. With a gradient there, training could satisfy the margin
    by a scale of 0 or below, which reverses the ranking of classes.

    Args:
        similarities: ŷ (B, n).
        labels: (B,).
        scale: s, a scalar.
        margin: δ, required of the correct class only.
    """
    own = F.one_hot(labels, similarities.shape[1]).bool()
    others = (scale * similarities).masked_fill(own, -torch.inf).logsumexp(dim=1)
    return F.relu(others - scale * similarities[own] + scale.detach() * margin).mean()


def neighbourhood_analysis_as_coded(
    similarities: Tensor, labels: Tensor, scale: Tensor, margin: float
) -> Tensor:
    """NCA as the official code and PyCIL compute it.

    The margin is subtracted from every class, so it has no effect. After the largest scaled similarity is
    subtracted, the correct class remains in the denominator as exp(0).

    Args:
        similarities: see `neighbourhood_analysis`.
        labels: see `neighbourhood_analysis`.
        scale: see `neighbourhood_analysis`.
        margin: see `neighbourhood_analysis`.
    """
    scaled = scale * (similarities - margin)
    scaled = scaled - scaled.max(dim=1, keepdim=True).values
    own = F.one_hot(labels, similarities.shape[1]).bool()
    return F.relu(scaled.masked_fill(own, 0).logsumexp(dim=1) - scaled[own]).mean()


def pooled_distance(student: Sequence[Tensor], teacher: Sequence[Tensor]) -> Tensor:
    """POD-spatial of PODNet: the distance between pooled maps, averaged over images and stages.

    Maps are squared and summed over width and over height. The concatenated sums of an image are scaled to
    unit norm.

    Args:
        student: maps (B, C, H, W), one per stage.
        teacher: the same, constants.
    """
    distances = [
        (_pooled(new) - _pooled(old)).norm(dim=1).mean() for new, old in zip(student, teacher, strict=True)
    ]
    return torch.stack(distances).mean()


def _pooled(maps: Tensor) -> Tensor:
    energy = maps.square()
    return F.normalize(
        torch.cat([energy.sum(dim=3).flatten(1), energy.sum(dim=2).flatten(1)], dim=1), dim=1
    )  # (B, C·H + C·W)


def task_cross_entropy(logits: Tensor, labels: Tensor, bounds: Sequence[int]) -> Tensor:
    """Softmax cross-entropy in which a label competes only with the classes of its task (GEM, A-GEM).

    Args:
        logits: (B, n).
        labels: (B,), of any task.
        bounds: class boundaries of the tasks, (0, first, …, n).
    """
    edges = torch.tensor(bounds[1:], device=labels.device)
    task_of_class = torch.bucketize(
        torch.arange(logits.shape[1], device=labels.device), edges, right=True
    )  # (n,)
    foreign = task_of_class != task_of_class[labels][:, None]  # (B, n)
    return F.cross_entropy(logits.masked_fill(foreign, -torch.inf), labels)


def stored_logits_distance(logits: Tensor, stored: Tensor, widths: Tensor) -> Tensor:
    """Squared distance to stored logits (DER++, Buzzega et al. 2020).

    It is averaged over each image's stored classes, then over images.

    Args:
        logits: (B, n).
        stored: (B, m ≤ n); entries beyond a row's width are ignored.
        widths: (B,), the number of classes stored in each row, at least 1.
    """
    valid = torch.arange(stored.shape[1], device=widths.device) < widths[:, None]
    squares = (logits[:, : stored.shape[1]] - stored).square().masked_fill(~valid, 0)
    return (squares.sum(dim=1) / widths).mean()


def frobenius_distance(student: Tensor, teacher: Tensor) -> Tensor:
    """‖Φ − Φ_old‖_F over a batch of features (B, d) (PASS, Zhu et al. 2021).

    It is neither squared nor averaged, so it grows with the batch.
    """
    distance: Tensor = (student - teacher).norm()
    return distance


def effective_number_weights(counts: Tensor, beta: float) -> Tensor:
    """Class weights by the effective number of images, larger for rarer classes (Cui et al., CVPR 2019).

    They are proportional to (1 − β) / (1 − β^N_c) and sum to n.

    Args:
        counts: N_c (n,), images of each class, at least 1.
        beta: β in [0, 1); with 0 all weights are equal.

    Returns:
        (n,), float32.
    """
    weights = (1 - beta) / (1 - torch.pow(beta, counts.double()))
    return (len(counts) * weights / weights.sum()).float()


def balanced_distillation(student: Tensor, teacher: Tensor, weights: Tensor, temperature: float) -> Tensor:
    """Distillation from class-weighted, renormalised teacher probabilities (FOSTER, Wang et al., ECCV 2022).

    Args:
        student: logits (B, n).
        teacher: logits (B, n), constants.
        weights: (n,); equal weights make it `distillation`.
        temperature: T of both softmaxes.
    """
    target = F.normalize(F.softmax(teacher / temperature, dim=1) * weights, p=1, dim=1)
    return -(target * F.log_softmax(student / temperature, dim=1)).sum(dim=1).mean()
