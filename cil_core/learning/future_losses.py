"""What X-DER does with stored logits and with outputs of classes to come (Boschini et al., TPAMI 2022).

Notation: B images, N classes of the whole protocol.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor


def transplanted(stored: Tensor, fresh: Tensor, labels: Tensor, low: int, high: int, ratio: float) -> Tensor:
    """Stored logits whose columns low … high − 1 are the fresh ones, kept below the image's own logit.

    Where the largest of them exceeds the own logit, they are scaled so that it becomes γ times the own one.
    Where the own logit is not positive, scaling would reverse their order, so they are shifted instead.

    Args:
        stored: (B, N).
        fresh: (B, N).
        labels: (B,), outside of the columns.
        low: first column.
        high: one past the last column.
        ratio: γ in (0, 1].
    """
    result = stored.clone()
    if low == high:
        return result
    own, part = stored.gather(1, labels[:, None]), fresh[:, low:high]
    largest = part.max(dim=1, keepdim=True).values
    scaled = part * (ratio * own / largest)
    shifted = part - (largest - own + (1 - ratio) * own.abs())
    limited = torch.where(own > 0, scaled, shifted)
    result[:, low:high] = torch.where(largest > own, limited, part)
    return result


def supervised_contrast(embeddings: Tensor, labels: Tensor, temperature: float) -> Tensor:
    """Mean over images of −log softmax of cosines, averaged over the other images of the same label.

    Args:
        embeddings: (B, d), scaled to unit norm here; an image without another of its label adds 0.
        labels: (B,).
        temperature: T.
    """
    unit = F.normalize(embeddings, dim=1)
    itself = torch.eye(len(labels), dtype=torch.bool, device=labels.device)
    log_shares = (unit @ unit.T / temperature).masked_fill(itself, -torch.inf).log_softmax(dim=1)
    positive = (labels[:, None] == labels) & ~itself
    sums = log_shares.masked_fill(~positive, 0).sum(dim=1)
    return -(sums / positive.sum(dim=1).clamp(min=1)).mean()


def similarity_distance(student: Tensor, teacher: Tensor) -> Tensor:
    """Squared distance between the images' similarities in two spaces, divided by B².

    Rows of the similarity matrices have unit norm (Tung and Mori, ICCV 2019).

    Args:
        student: (B, d).
        teacher: (B, d), constants.
    """
    new, old = (F.normalize(outputs @ outputs.T, dim=1) for outputs in (student, teacher))
    return (new - old).square().sum() / len(student) ** 2


def future_margin(logits: Tensor, own: Tensor, seen: int, margin: float) -> Tensor:
    """How far outputs of classes to come exceed the best of the own task minus a margin.

    It is the mean over the images that violate the margin; 0 if none does.

    Args:
        logits: (B, N).
        own: whether a class belongs to the image's task, bool (B, N).
        seen: n; later columns are of classes to come, at least one.
        margin: η.
    """
    best = logits.masked_fill(~own, -torch.inf).max(dim=1).values
    excess = F.relu(logits[:, seen:].max(dim=1).values + margin - best)
    return excess.sum() / (excess > 0).sum().clamp(min=1)


def past_margin(logits: Tensor, known: int, margin: float) -> Tensor:
    """How far the most probable old class exceeds the best new one minus a margin, for new images.

    Probabilities of old classes are constants. It is the mean over the images that violate the margin; 0 if
    none does.

    Args:
        logits: (B, n), of images of new classes.
        known: o ≥ 1.
        margin: η.
    """
    chances = logits.softmax(dim=1)
    old, new = chances[:, :known].max(dim=1).values.detach(), chances[:, known:].max(dim=1).values
    excess = F.relu(old + margin - new)
    return excess.sum() / (excess > 0).sum().clamp(min=1)
