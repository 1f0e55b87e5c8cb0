"""Ridge regression from sums: `RidgeSums`, the choice of the ridge, and RanPAC's head.

RanPAC: McDonnell et al. 2023.

Decisions:
    * Everything is float64: a ridge of 1e-8 beside sums in float32 is no ridge.
    * The sums of all tasks are the sums of all data, however the data is split, so the solution is the joint
      one. `AnalyticHead` has the same solution by recursion; sums are cheaper for few large tasks.
    * A ridge that is too small for a Cholesky factor of the sums is raised tenfold until there is one. The
      caller learns which ridge was used.
    * The squared errors of all ridges need one eigendecomposition, of the smaller of XXᵀ and XᵀX.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from cil_core.nets.heads import TrainedHead
from cil_core.spec.errors import Diverged

RIDGES = tuple(10.0**exponent for exponent in range(-8, 9))
"""λ that RanPAC's official code chooses from."""


class RidgeSums(nn.Module):
    """G = Σ xᵀx and Q = Σ yᵀx over all samples (x, y): all that ridge regression needs of them.

    Args:
        width: D, the number of inputs.
    """

    gram: Tensor
    moments: Tensor

    def __init__(self, width: int) -> None:
        super().__init__()
        self.register_buffer("gram", torch.zeros(width, width, dtype=torch.float64))
        self.register_buffer("moments", torch.zeros(0, width, dtype=torch.float64))

    def grow(self, new: int) -> None:
        """Add `new` targets, which are zero for all samples so far."""
        zeros = self.moments.new_zeros(new, self.moments.shape[1])
        self.moments = torch.cat([self.moments, zeros])

    def absorb(self, x: Tensor, y: Tensor) -> None:
        """Add samples.

        Args:
            x: inputs, float64 (B, D).
            y: targets, float64 (B, n).
        """
        self.gram.addmm_(x.T, x)
        self.moments.addmm_(y.T, x)

    def solution(self, ridge: float) -> tuple[Tensor, float]:
        """The weights Q (G + λI)⁻¹, float64 (n, D), and the λ used: `ridge`, or a raised one.

        Raises:
            Diverged: if the sums are not finite.
        """
        if not bool(self.gram.isfinite().all()):
            raise Diverged("ridge regression: the sums of features are not finite")
        while True:
            regular = self.gram.clone()
            regular.diagonal().add_(ridge)
            factor, failed = torch.linalg.cholesky_ex(regular)
            if not failed:
                return torch.cholesky_solve(self.moments.T, factor).T.contiguous(), ridge
            ridge *= 10


class RidgeHead(nn.Module):
    """z = W h with h = relu(P f), or h = f without an expansion; W solves a ridge regression on all data.

    Args:
        features: d, the input width.
        expansion: D, the number of random features; 0 for none.
    """

    def __init__(self, features: int, expansion: int) -> None:
        super().__init__()
        self.projection = nn.Parameter(
            torch.zeros(expansion, features, dtype=torch.float64), requires_grad=False
        )
        width = expansion or features
        self.weight = nn.Parameter(torch.zeros(0, width, dtype=torch.float64), requires_grad=False)
        self.sums = RidgeSums(width)

    @classmethod
    def replacing(cls, head: TrainedHead, expansion: int, generator: torch.Generator) -> RidgeHead:
        """A head with the inputs, classes and device of `head`; P is standard normal, W is zero."""
        ridge = cls(head.weight.shape[1], expansion)
        ridge.projection.normal_(generator=generator)
        ridge.grow(head.classes, generator)
        return ridge.to(head.weight.device)

    @property
    def classes(self) -> int:
        """n: rows of W."""
        return len(self.weight)

    def grow(self, new: int, generator: torch.Generator) -> None:  # noqa: ARG002 - nothing is random
        """Add `new` rows of zeros, the solution for classes without data."""
        zeros = self.weight.new_zeros(new, self.weight.shape[1])
        self.weight = nn.Parameter(torch.cat([self.weight.detach(), zeros]), requires_grad=False)
        self.sums.grow(new)

    def expanded(self, features: Tensor) -> Tensor:
        """h, float64 (B, D), of features (B, d)."""
        if not len(self.projection):
            return features.double()
        return F.relu(F.linear(features.double(), self.projection))

    def forward(self, features: Tensor) -> Tensor:
        """Logits, float64 (B, n), of features (B, d)."""
        return F.linear(self.expanded(features), self.weight)

    @torch.no_grad()
    def solve(self, ridge: float) -> float:
        """Set W to the solution for all data so far; returns the ridge used, as `RidgeSums.solution`."""
        weight, used = self.sums.solution(ridge)
        self.weight.copy_(weight)
        return used


def held_out_errors(
    fitted: tuple[Tensor, Tensor], held_out: tuple[Tensor, Tensor], ridges: tuple[float, ...] = RIDGES
) -> list[float]:
    """For each ridge, the mean squared error on held-out samples of the regression on the fitted ones.

    Args:
        fitted: inputs (N, D) and targets (N, n), float64.
        held_out: likewise.
        ridges: λ to compare.
    """
    (x, y), (other, expected) = fitted, held_out
    if len(x) <= x.shape[1]:
        values, vectors = torch.linalg.eigh(x @ x.T)
        left, right = other @ (x.T @ vectors), vectors.T @ y
    else:
        values, vectors = torch.linalg.eigh(x.T @ x)
        left, right = other @ vectors, vectors.T @ (x.T @ y)
    values = values.clamp(min=0)[:, None]  # rounding makes zeros slightly negative
    return [float((left @ (right / (values + ridge)) - expected).square().mean()) for ridge in ridges]


def best_ridge(
    x: Tensor, y: Tensor, generator: torch.Generator, fitted: float = 0.8, ridges: tuple[float, ...] = RIDGES
) -> float:
    """The ridge with the smallest error on a random fifth of the samples; of equal ones, the smallest ridge.

    Args:
        x: inputs, float64 (N, D), at least 2.
        y: targets, float64 (N, n).
        generator: of the split, on the CPU.
        fitted: share of the samples that the regressions see, rounded down.
        ridges: λ to choose from, rising.
    """
    order = torch.randperm(len(x), generator=generator).to(x.device)
    fit, rest = order.tensor_split([int(fitted * len(x))])
    errors = held_out_errors((x[fit], y[fit]), (x[rest], y[rest]), ridges)
    return ridges[errors.index(min(errors))]
