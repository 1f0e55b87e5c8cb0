"""`MahalanobisHead`: distances to class means under one correlation matrix per class.

FeCAM: Goswami et al. 2023.

Decisions:
    * A class is stored as its mean and the Cholesky factor of its correlation matrix, computed in float64 and
      kept in float32. A triangular solve gives the distance; no matrix is inverted.
    * Later classes leave the statistics of earlier ones untouched.
    * A class without spread, such as one with a single image, has the identity as its correlation matrix.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from cil_core.nets.heads import TrainedHead
from cil_core.spec.errors import Diverged


class MahalanobisHead(nn.Module):
    """z_c = −(u − μ_c)ᵀ S_c⁻¹ (u − μ_c), where u is f^β scaled to unit norm.

    Args:
        features: d, the input width.
        exponent: β of Tukey's transformation; 1 leaves features as they are, another needs f ≥ 0.
    """

    means: Tensor
    factors: Tensor

    def __init__(self, features: int, exponent: float) -> None:
        super().__init__()
        self.exponent = exponent
        self.register_buffer("means", torch.zeros(0, features))
        self.register_buffer("factors", torch.zeros(0, features, features))

    @classmethod
    def replacing(cls, head: TrainedHead, exponent: float) -> MahalanobisHead:
        """A head with the inputs, classes and device of `head`."""
        computed = cls(head.weight.shape[1], exponent).to(head.weight.device)
        computed.grow(head.classes, torch.Generator())
        return computed

    @property
    def classes(self) -> int:
        """n: classes so far."""
        return len(self.means)

    def grow(self, new: int, generator: torch.Generator) -> None:  # noqa: ARG002 - nothing is random
        """Add `new` classes with mean 0 and the identity, until `describe` sets them."""
        width = self.means.shape[1]
        self.means = torch.cat([self.means, self.means.new_zeros(new, width)])
        identity = torch.eye(width).to(self.factors).expand(new, width, width)
        self.factors = torch.cat([self.factors, identity])

    def describe(self, low: int, means: Tensor, factors: Tensor) -> None:
        """Set the classes from `low` on: means (k, d) and lower factors (k, d, d)."""
        self.means[low:] = means.to(self.means)
        self.factors[low:] = factors.to(self.factors)

    def unit(self, features: Tensor) -> Tensor:
        """u, of the shape of the features (…, d)."""
        return F.normalize(features**self.exponent, dim=-1)

    def forward(self, features: Tensor) -> Tensor:
        """Negative squared distances (B, n) of features (B, d)."""
        points = self.unit(features)
        distances = [
            torch.linalg.solve_triangular(factor, (points - mean).T, upper=False).square().sum(dim=0)
            for mean, factor in zip(self.means, self.factors, strict=True)
        ]
        return -torch.stack(distances, dim=1)


def shrunk(covariances: Tensor, variance: float, covariance: float) -> Tensor:
    """Σ + α1 v̄ I + α2 c̄ (1 − I) for each Σ of (n, d, d).

    Args:
        covariances: v̄ is the mean of a diagonal, c̄ the mean of all entries beside it that are not zero.
        variance: α1.
        covariance: α2.
    """
    identity = torch.eye(covariances.shape[-1]).to(covariances)
    beside = covariances * (1 - identity)
    count = (beside != 0).sum(dim=(1, 2)).clamp(min=1)
    mean_variance = covariances.diagonal(dim1=1, dim2=2).mean(dim=1)
    mean_covariance = beside.sum(dim=(1, 2)) / count
    return (
        covariances
        + variance * mean_variance[:, None, None] * identity
        + covariance * mean_covariance[:, None, None] * (1 - identity)
    )


def correlations(covariances: Tensor) -> Tensor:
    """Σ_ij / √(Σ_ii Σ_jj) for each Σ of (n, d, d); a dimension without variance correlates with none."""
    deviations = covariances.diagonal(dim1=1, dim2=2).sqrt()
    scale = torch.where(deviations > 0, 1 / deviations, 0)
    scaled = covariances * scale[:, :, None] * scale[:, None, :]
    scaled.diagonal(dim1=1, dim2=2).fill_(1)
    return scaled


def correlation_factors(
    covariances: Tensor, variance: float, covariance: float, times: int
) -> tuple[Tensor, Tensor]:
    """Cholesky factors of the correlation matrices of shrunk covariances.

    Shrinking covariances may cost positive definiteness. A class that it costs it is shrunk with α2 = 0.

    Args:
        covariances: (n, d, d), float64.
        variance: α1 > 0.
        covariance: α2.
        times: how often a matrix is shrunk.

    Returns:
        Lower factors (n, d, d), and which classes were shrunk with α2 = 0 (n,).

    Raises:
        Diverged: if a covariance is not finite.
    """
    if not bool(covariances.isfinite().all()):
        raise Diverged("FeCAM: covariances of features are not finite")
    factors, failed = torch.linalg.cholesky_ex(_shrunk_correlations(covariances, variance, covariance, times))
    indefinite = failed > 0
    if bool(indefinite.any()):
        plain = _shrunk_correlations(covariances[indefinite], variance, 0.0, times)
        factors[indefinite] = torch.linalg.cholesky(plain)
    return factors, indefinite


def _shrunk_correlations(covariances: Tensor, variance: float, covariance: float, times: int) -> Tensor:
    for _ in range(times):
        covariances = shrunk(covariances, variance, covariance)
    return correlations(covariances)
