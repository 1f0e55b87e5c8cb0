"""`ClassGaussians`: a mean and a covariance per class whose images are not kept, and draws from them.

Decisions:
    * Kept in float32; factors are computed in float64 from the kept values, so that a resumed run draws the
      same numbers.
    * A covariance of few images has no full rank: a multiple of the identity is added before it is factored.
      Where that does not suffice, ten times as much is added to that class; `Sampler.jitters` reports it.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from cil_core.learning.moments import class_covariances, class_moments
from cil_core.nets.perceptron import Affine

JITTER = 1e-5
_LARGEST = 1e6


class ClassGaussians(nn.Module):
    """Means μ_c (n, d) and covariances Σ_c (n, d, d) of the classes so far.

    Args:
        features: d.
    """

    means: Tensor
    covariances: Tensor

    def __init__(self, features: int) -> None:
        super().__init__()
        self.register_buffer("means", torch.zeros(0, features))
        self.register_buffer("covariances", torch.zeros(0, features, features))

    def append(self, features: Tensor, labels: Tensor, low: int, high: int) -> None:
        """Add the classes low … high − 1: means and unbiased covariances of their features (N, d)."""
        means = class_moments(features, labels, low, high).means
        spread = class_covariances(features, labels, low, high)
        self.replace(torch.cat([self.means, means.float()]), torch.cat([self.covariances, spread.float()]))

    def replace(self, means: Tensor, covariances: Tensor) -> None:
        """Set the statistics of all classes."""
        self.means, self.covariances = means.float(), covariances.float()

    def sampler(self, jitter: float = JITTER) -> Sampler:
        """Draws from the present statistics; factors them once."""
        return Sampler(self.means, self.covariances, jitter)


class Sampler:
    """Draws features of classes from their Gaussians.

    Args:
        means: (n, d).
        covariances: (n, d, d), symmetric.
        jitter: added to every variance.

    Raises:
        ValueError: if a covariance has eigenvalues far below zero.
    """

    def __init__(self, means: Tensor, covariances: Tensor, jitter: float = JITTER) -> None:
        self.means, self.covariances = means, covariances
        self.factors, self.jitters = cholesky_factors(covariances, jitter)
        self.factors = self.factors.to(means)

    def draw(self, classes: Tensor, generator: torch.Generator) -> Tensor:
        """One feature for each of these classes (B,): (B, d)."""
        noise = self._noise(len(classes), generator)
        return self.means[classes] + (self.factors[classes] @ noise[:, :, None]).squeeze(2)

    def draw_from(self, label: int, count: int, generator: torch.Generator) -> Tensor:
        """Features (count, d) of one class."""
        return self.means[label] + self._noise(count, generator) @ self.factors[label].T

    def _noise(self, count: int, generator: torch.Generator) -> Tensor:
        width = self.means.shape[1]
        return torch.randn(count, width, generator=generator, device=generator.device).to(self.means)


def cholesky_factors(covariances: Tensor, jitter: float = JITTER) -> tuple[Tensor, Tensor]:
    """Lower factors L with L Lᵀ = Σ + jitter · I, and the jitter that each matrix received.

    Args:
        covariances: (n, d, d), symmetric.
        jitter: tried first; a matrix that is not positive definite with it receives ten times as much.

    Returns:
        Factors (n, d, d) in float64, and jitters (n,).

    Raises:
        ValueError: if a matrix has eigenvalues far below zero.
    """
    matrices = covariances.double()
    jitters = torch.full((len(matrices),), jitter, dtype=torch.float64, device=matrices.device)
    identity = torch.eye(matrices.shape[-1], dtype=torch.float64, device=matrices.device)
    for _ in range(math.ceil(math.log10(_LARGEST / jitter))):
        factors, failed = torch.linalg.cholesky_ex(matrices + jitters[:, None, None] * identity)
        if not bool(failed.any()):
            return factors, jitters
        jitters = torch.where(failed > 0, 10 * jitters, jitters)
    raise ValueError(f"covariances of {int((failed > 0).sum())} classes are far from positive definite")


@torch.no_grad()
def carried(
    sampler: Sampler, mapping: nn.Module, count: int, generator: torch.Generator
) -> tuple[Tensor, Tensor]:
    """Means (n, d) and covariances (n, d, d) of Gaussians after a map of features (AdaGauss).

    An affine map is applied exactly; any other one to `count` draws per class.

    Args:
        sampler: of the Gaussians.
        mapping: from features (B, d) to features (B, d).
        count: draws per class, at least 2.
        generator: of the draws.
    """
    if isinstance(mapping, Affine):
        return mapping(sampler.means), mapping.weight @ sampler.covariances @ mapping.weight.T
    moved = [
        mapping(sampler.draw_from(label, count, generator)).double() for label in range(len(sampler.means))
    ]
    means, spreads = [each.mean(dim=0) for each in moved], [torch.cov(each.T) for each in moved]
    return torch.stack(means).to(sampler.means), torch.stack(spreads).to(sampler.means)


def balanced_classes(classes: int, count: int, generator: torch.Generator) -> Tensor:
    """Random classes (count,) below `classes`: every class occurs once before any occurs twice."""
    rounds = [
        torch.randperm(classes, generator=generator, device=generator.device)
        for _ in range(math.ceil(count / classes))
    ]
    return torch.cat(rounds)[:count]
