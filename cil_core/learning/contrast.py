"""Contrast between two views of each image (TagFex, Zheng et al., CVPR 2025).

Rows are the first views of B images, then their second views in the same order, 2B in all. The positive of a
row is the other view of its image; the row itself does not compete.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor


def info_nce(embeddings: Tensor, temperature: float) -> Tensor:
    """InfoNCE among the rows, by cosine.

    Args:
        embeddings: (2B, d).
        temperature: T.
    """
    return contrast(embeddings, embeddings, temperature)


def contrast(queries: Tensor, keys: Tensor, temperature: float) -> Tensor:
    """InfoNCE in which rows of one network look for the other view in another network.

    Args:
        queries: (2B, d).
        keys: (2B, d), of the same images in the same order.
        temperature: T.
    """
    cosines = F.normalize(queries, dim=1) @ F.normalize(keys, dim=1).T / temperature  # (2B, 2B)
    rows = torch.arange(len(cosines), device=cosines.device)
    positives = (rows + len(rows) // 2) % len(rows)
    itself = rows[:, None] == rows
    return F.cross_entropy(cosines.masked_fill(itself, -torch.inf), positives)


def new_only(values: Tensor, new: Tensor) -> Tensor:
    """The mean of `values` (B,) over the rows that `new` marks; 0 where it marks none."""
    return (values * new).sum() / new.sum().clamp(min=1)


def transferred(student: Tensor, teacher: Tensor, temperature: float) -> Tensor:
    """KL_T(teacher ‖ student) of each row, without T²: (B,).

    Args:
        student: logits (B, k).
        teacher: logits (B, k), constants.
        temperature: T of both softmaxes.
    """
    target = F.log_softmax(teacher / temperature, dim=1)
    return (target.exp() * (target - F.log_softmax(student / temperature, dim=1))).sum(dim=1)
