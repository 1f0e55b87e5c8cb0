"""`BottleneckNet`: a narrow feature space, classified by a Gaussian per class (AdaGauss).

Decisions:
    * The published 1×1 convolution before the average pool is an affine map of the pooled features; this one
      is applied after the pool. Both are the same function.
    * The head has no trained weights: it consists of a mean and a covariance per class.
    * It compares correlations, not covariances, of unit features and has neither determinant nor prior.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from cil_core.nets.backbones import Backbone
from cil_core.nets.incremental import IncrementalNet
from cil_core.nets.perceptron import Affine


class GaussianHead(nn.Module):
    """z_c = −(f̂ − μ̂_c)ᵀ S_c⁻¹ (f̂ − μ̂_c), with unit features and means.

    S_c is the correlation matrix of Σ_c + r · mean(diag Σ_c) · I.

    Args:
        features: S, the width.
        shrinkage: r.
    """

    means: Tensor
    covariances: Tensor

    def __init__(self, features: int, shrinkage: float) -> None:
        super().__init__()
        self.shrinkage = shrinkage
        self.register_buffer("means", torch.zeros(0, features))
        self.register_buffer("covariances", torch.zeros(0, features, features))

    @property
    def classes(self) -> int:
        """n: Gaussians so far."""
        return len(self.means)

    def grow(self, new: int, generator: torch.Generator) -> None:  # noqa: ARG002 - nothing is drawn
        """Make room for the Gaussians of `new` classes: mean 0, covariance I."""
        width = self.means.shape[1]
        identity = torch.eye(width).to(self.covariances).expand(new, width, width)
        self.means = torch.cat([self.means, self.means.new_zeros(new, width)])
        self.covariances = torch.cat([self.covariances, identity])

    def forward(self, features: Tensor) -> Tensor:
        """Scores (B, n) of features (B, S): minus the squared Mahalanobis distances."""
        return mahalanobis_scores(features, self.means, correlations(self.covariances, self.shrinkage))


def correlations(covariances: Tensor, shrinkage: float) -> Tensor:
    """Correlation matrices (n, S, S) of Σ_c + r · mean(diag Σ_c) · I; the identity where Σ_c is zero.

    Args:
        covariances: Σ_c (n, S, S).
        shrinkage: r.
    """
    matrices = covariances.double()
    variances = matrices.diagonal(dim1=1, dim2=2)
    identity = torch.eye(matrices.shape[1]).to(matrices)
    matrices = matrices + shrinkage * variances.mean(dim=1)[:, None, None] * identity
    deviations = matrices.diagonal(dim1=1, dim2=2).clamp_min(torch.finfo(matrices.dtype).tiny).sqrt()
    scaled = matrices / deviations[:, :, None] / deviations[:, None, :]
    return torch.where(identity.bool(), identity, scaled)


def mahalanobis_scores(features: Tensor, means: Tensor, matrices: Tensor) -> Tensor:
    """−(f̂ − μ̂)ᵀ S⁻¹ (f̂ − μ̂) with unit vectors: (B, n).

    Args:
        features: (B, S).
        means: (n, S).
        matrices: S_c (n, S, S), positive definite.
    """
    unit, centres = F.normalize(features.double(), dim=1), F.normalize(means.double(), dim=1)
    offsets = (unit - centres[:, None]).mT  # (n, S, B)
    whitened = torch.linalg.solve_triangular(torch.linalg.cholesky(matrices), offsets, upper=False)
    scores: Tensor = -whitened.square().sum(dim=1).T.float()
    return scores


class BottleneckNet(IncrementalNet[GaussianHead]):
    """A backbone, an affine map to a narrow space of signed features, and a Gaussian head.

    Args:
        backbone: computes wide features.
        width: S, of the narrow space.
        shrinkage: of the head.
        generator: draws the map.
    """

    def __init__(self, backbone: Backbone, width: int, shrinkage: float, generator: torch.Generator) -> None:
        super().__init__(backbone, GaussianHead(width, shrinkage))
        self.bottleneck = Affine(backbone.feature_dim, width, generator)

    def features(self, x: Tensor) -> Tensor:
        """Features (B, S)."""
        narrow: Tensor = self.bottleneck(self.backbone(x))
        return narrow

    def backbone_parameters(self) -> int:
        """Parameters of the backbone and of the map."""
        return super().backbone_parameters() + sum(each.numel() for each in self.bottleneck.parameters())
