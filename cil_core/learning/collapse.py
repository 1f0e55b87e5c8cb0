"""The loss against a collapsing feature space (AdaGauss, Rypeść et al. 2024)."""

from __future__ import annotations

import torch
from torch import Tensor

JITTER = 1e-4


def anti_collapse(features: Tensor, beta: float) -> Tensor:
    """`spread_loss` of the unbiased covariance of a batch, plus 1e-4 · I.

    A batch of no more than S features has no covariance of full rank; its loss is 0.

    Args:
        features: (B, S).
        beta: see `spread_loss`.
    """
    count, width = features.shape
    if count <= width:
        return features.new_zeros(())
    identity = torch.eye(width, device=features.device)
    return spread_loss(torch.cov(features.T) + JITTER * identity, beta)


def spread_loss(covariance: Tensor, beta: float) -> Tensor:
    """−mean_j min(L_jj, β), with L the Cholesky factor: large unless every direction has spread β.

    Args:
        covariance: (S, S), positive definite.
        beta: spread above which nothing is gained.
    """
    loss: Tensor = -torch.linalg.cholesky(covariance).diagonal().clamp(max=beta).mean()
    return loss
