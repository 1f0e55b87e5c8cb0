"""Elastic feature consolidation: which directions of feature space matter to the classifier (EFC, EFC++).

Source: Magistri et al., ICLR 2024.

Decisions:
    * The feature matrix E is the mean Hessian of log-sum-exp of the logits with respect to the features. It
      needs no labels. All images count, also those of a last smaller batch, and none is augmented.
    * Sums are float64.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from cil_core.learning.feature_pairs import FeaturePairs
from cil_core.learning.gaussians import Sampler, balanced_classes


def feature_matrix(features: Tensor, rows: Tensor) -> Tensor:
    """E (d, d): the mean over images of Wᵀ (diag p − p pᵀ) W with p = softmax(W f).

    Args:
        features: f (N, d).
        rows: W (n, d), the head's rows of all classes.

    Returns:
        float64, symmetric and positive semidefinite.
    """
    features, rows = features.double(), rows.detach().double()
    probabilities = F.softmax(features @ rows.T, dim=1)  # (N, n)
    expected = probabilities @ rows  # (N, d)
    return rows.T @ (probabilities.mean(dim=0)[:, None] * rows) - expected.T @ expected / len(features)


def elastic_penalty(difference: Tensor, matrix: Tensor, weight: float, damping: float) -> Tensor:
    """The mean over images of Δᵀ (λE + ηI) Δ.

    Args:
        difference: Δ (B, d), features minus those of the old network.
        matrix: E (d, d).
        weight: λ.
        damping: η.
    """
    elastic = ((difference @ matrix) * difference).sum(dim=1)
    return (weight * elastic + damping * difference.square().sum(dim=1)).mean()


def elastic_drift(pairs: FeaturePairs, means: Tensor, matrix: Tensor, sigma: float) -> Tensor:
    """The drift of each mean: a weighted mean of the images' drifts; near ones in the metric E weigh more.

    Image i has weight exp(s / 2σ²) for class c. s is minus its squared distance to μ_c in the metric E,
    scaled to 0 … 1 over all images and classes jointly. If all distances are equal, so are all weights.

    Args:
        pairs: features (N, d) of new images.
        means: μ_c (c, d), in the old feature space.
        matrix: E (d, d) of the old network.
        sigma: σ > 0.

    Returns:
        (c, d), float64.
    """
    old, new = pairs.old.double(), pairs.new.double()
    values, vectors = torch.linalg.eigh(matrix.double())
    root = vectors * values.clamp(min=0).sqrt()  # root rootᵀ = E
    nearness = -torch.cdist(means.double() @ root, old @ root).square()  # (c, N)
    span = nearness.max() - nearness.min()
    scaled = (nearness - nearness.min()) / span if bool(span > 0) else torch.zeros_like(nearness)
    return torch.softmax(scaled / (2 * sigma**2), dim=1) @ (new - old)


def mixed_counts(known: int, seen: int, size: int, available: int, generator: torch.Generator) -> int:
    """How many of a mixed batch's `size` samples are draws of old classes; the others are images.

    `size` classes are drawn from all seen ones, without replacement if there are as many; old ones count.

    Args:
        known: o, old classes.
        seen: n, all classes.
        size: of the mixed batch.
        available: images at hand; what they cannot fill are draws too.
        generator: draws the classes.
    """
    device = generator.device
    if seen >= size:
        classes = torch.randperm(seen, generator=generator, device=device)[:size]
    else:
        classes = torch.randint(seen, (size,), generator=generator, device=device)
    return max(int((classes < known).sum()), size - available)


def old_draws(sampler: Sampler, known: int, count: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """`count` features of old classes with their labels; each class occurs once before any occurs twice."""
    labels = balanced_classes(known, count, generator)
    return sampler.draw(labels, generator), labels
