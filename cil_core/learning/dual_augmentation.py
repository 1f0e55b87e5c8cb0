"""IL2A's two augmentations: mixed pairs of classes, and prototypes spread by their class's covariance.

Source: Zhu, Cheng, Zhang and Liu, NeurIPS 2021.

Decisions:
    * A mixture of two new classes is a class of its own; (a, b) and (b, a) are the same one.
    * The share of a mixture is Beta(α, α) with whole α: the α-th smallest of 2α − 1 uniform numbers. It comes
      from the given generator, as every random number here.
    * The term on prototypes is the coded surrogate. With a temperature it is no bound of an expected loss.
"""

from __future__ import annotations

import torch
from torch import Tensor

LIMITS = (0.4, 0.6)
"""A share outside becomes 1/2."""


def pair_count(classes: int) -> int:
    """Unordered pairs of different classes."""
    return classes * (classes - 1) // 2


def pair_labels(first: Tensor, second: Tensor) -> Tensor:
    """The number of each unordered pair of different classes: b (b − 1) / 2 + a with a < b."""
    small, large = torch.minimum(first, second), torch.maximum(first, second)
    return large * (large - 1) // 2 + small


def mixed_pairs(
    x: Tensor, labels: Tensor, rounds: int, alpha: int, generator: torch.Generator
) -> tuple[Tensor, Tensor]:
    """Mixtures λx + (1 − λ)x' of images of different classes, and the numbers of their pairs.

    Args:
        x: images (B, …).
        labels: (B,), counted from 0 among the classes that may be mixed.
        rounds: how often the batch is paired with a permutation of itself.
        alpha: α of the shares.
        generator: on the device of `x`.

    Returns:
        (M, …) and (M,), with M ≤ rounds · B.
    """
    images, pairs = [x[:0]], [labels[:0]]
    for _ in range(rounds):
        order = torch.randperm(len(x), generator=generator, device=x.device)
        share = _share(alpha, generator)
        different = labels != labels[order]
        images.append((share * x + (1 - share) * x[order])[different])
        pairs.append(pair_labels(labels, labels[order])[different])
    return torch.cat(images), torch.cat(pairs)


def _share(alpha: int, generator: torch.Generator) -> float:
    uniform = torch.rand(2 * alpha - 1, generator=generator, device=generator.device)
    share = float(uniform.sort().values[alpha - 1])
    return share if LIMITS[0] <= share <= LIMITS[1] else 0.5


def spread_logits(logits: Tensor, labels: Tensor, rows: Tensor, covariances: Tensor, ratio: float) -> Tensor:
    """z_c + (r/2) (w_c − w_y)ᵀ Σ_y (w_c − w_y): logits of prototypes, spread by their class's covariance.

    Args:
        logits: z of prototypes (B, n).
        labels: y (B,).
        rows: W (n, d).
        covariances: Σ of every class that occurs in `labels` (m, d, d).
        ratio: r.
    """
    present, place = labels.unique(return_inverse=True)
    offsets = rows - rows[present][:, None]  # (u, n, d)
    quadratic = ((offsets @ covariances[present]) * offsets).sum(dim=2)  # (u, n)
    return logits + ratio / 2 * quadratic[place]
