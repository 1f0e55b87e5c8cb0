"""Prototypes: mean feature and spread of a class whose images are not kept; features made from them."""

from __future__ import annotations

from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from cil_core.data.features import FeatureDataset

Similarity = Literal["cosine", "euclidean"]


def mean_features(features: Tensor, labels: Tensor, low: int, high: int) -> Tensor:
    """The mean feature, not normalised, of each of the classes low … high − 1: (high − low, d).

    Args:
        features: (N, d).
        labels: (N,).
        low: first class.
        high: one past the last class.

    Raises:
        ValueError: if a class has no sample.
    """
    members = _members(labels, low, high).to(features)
    return members @ features / members.sum(dim=1, keepdim=True)


def spreads(features: Tensor, labels: Tensor, low: int, high: int) -> Tensor:
    """Mean variance of each class over the dimensions, trace(Cov) / d: (high − low,).

    For isotropic noise of standard deviation σ it is σ².

    The arguments are those of `mean_features`. Cov is the maximum-likelihood estimate, so one sample has
    spread 0.
    """
    members = _members(labels, low, high).to(features)
    centred = features - members.T @ mean_features(features, labels, low, high)
    return members @ centred.square().mean(dim=1) / members.sum(dim=1)


def _members(labels: Tensor, low: int, high: int) -> Tensor:
    """Membership of samples in classes, bool (high − low, N)."""
    members = labels == torch.arange(low, high, device=labels.device)[:, None]
    empty = torch.nonzero(~members.any(dim=1)).flatten() + low
    if len(empty):
        raise ValueError(f"classes without a sample: {empty.tolist()}")
    return members


def most_similar(queries: Tensor, candidates: Tensor, similarity: Similarity) -> Tensor:
    """The index of the candidate (c, d) that is most similar to each query (q, d): (q,)."""
    if similarity == "cosine":
        return (F.normalize(queries, dim=1) @ F.normalize(candidates, dim=1).T).argmax(dim=1)
    return torch.cdist(queries, candidates).argmin(dim=1)


def with_translated(
    real: FeatureDataset, means: Tensor, known: int, similarity: Similarity
) -> FeatureDataset:
    """Features of new classes and translated ones for every old class (FeTrIL, Petit et al. 2023).

    An old class gets the features of the most similar new class, moved to the old mean.

    Args:
        real: features of the new classes, labels known … n − 1.
        means: mean feature of every class (n, d).
        known: o.
        similarity: between means.
    """
    features, labels = [real.features], [real.labels]
    donors = most_similar(means[:known], means[known:], similarity) + known
    for old, donor in enumerate(donors.tolist()):
        donated = real.features[real.labels == donor]
        features.append(donated - means[donor] + means[old])
        labels.append(torch.full_like(real.labels[: len(donated)], old))
    return FeatureDataset(torch.cat(features), torch.cat(labels))
