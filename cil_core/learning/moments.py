"""Moments of classes: how many images, their mean feature and their second moment Σ f fᵀ.

Decisions:
    * Moments are summed in float64 and kept in float32; what is derived from them is computed in float64.
    * The second moment is not centred, so that a linear map of features maps it exactly.
    * Counts are those of the images at hand: no number of images per class is assumed.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor


class Moments(NamedTuple):
    """Statistics of classes in one feature space.

    Attributes:
        counts: N_c, images of each class (c,).
        means: mean features μ_c (c, d), not normalised.
        seconds: sums Σ f fᵀ over the images of each class (c, d, d), not centred.
    """

    counts: Tensor
    means: Tensor
    seconds: Tensor


def class_moments(features: Tensor, labels: Tensor, low: int, high: int) -> Moments:
    """The moments of the classes low … high − 1, in float64.

    Args:
        features: (N, d).
        labels: (N,).
        low: first class.
        high: one past the last class.

    Raises:
        ValueError: if a class has no sample.
    """
    features = features.double()
    members = [features[labels == label] for label in range(low, high)]
    empty = [low + position for position, each in enumerate(members) if not len(each)]
    if empty:
        raise ValueError(f"classes without a sample: {empty}")
    return Moments(
        torch.tensor([len(each) for each in members], device=features.device),
        torch.stack([each.mean(dim=0) for each in members]),
        torch.stack([each.T @ each for each in members]),
    )


def covariances(moments: Moments) -> Tensor:
    """Unbiased covariances (c, d, d) in float64; that of a class with a single image is zero."""
    counts, means = moments.counts.double()[:, None, None], moments.means.double()
    centred = moments.seconds.double() - counts * means[:, :, None] * means[:, None, :]
    return centred / (counts - 1).clamp(min=1) * (counts > 1)


def class_covariances(features: Tensor, labels: Tensor, low: int, high: int) -> Tensor:
    """Unbiased covariances (high − low, d, d) of classes in float64, from centred features.

    Centring first keeps digits that a difference of second moments loses. The arguments are those of
    `class_moments`, whose single-image rule also holds here.
    """
    means = class_moments(features, labels, low, high).means
    offsets = features.double() - means[labels - low]
    return covariances(class_moments(offsets, labels, low, high))
