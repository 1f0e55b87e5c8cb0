"""`AnalyticHead`: recursive ridge regression on randomly expanded features (ACIL, Zhuang et al. 2022).

Decisions:
    * Everything is float64: the recursion is unstable in float32.
    * R = (XᵀX + γI)⁻¹ is updated before the weights, which use the updated R (Woodbury). Up to rounding, the
      weights solve the joint regression on all data, however it is split.
    * R has D² numbers and is part of the state dict, so that it counts as kept bytes.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from cil_core.nets.heads import TrainedHead


class AnalyticHead(nn.Module):
    """z = W relu(P f): a fixed random projection P to D dimensions and a closed-form linear classifier.

    Args:
        features: d, the input width.
        expansion: D.
        ridge: γ, the weight of the squared norm of W.
    """

    inverse: Tensor

    def __init__(self, features: int, expansion: int, ridge: float) -> None:
        super().__init__()
        self.projection = nn.Parameter(
            torch.zeros(expansion, features, dtype=torch.float64), requires_grad=False
        )
        self.weight = nn.Parameter(torch.zeros(0, expansion, dtype=torch.float64), requires_grad=False)
        self.register_buffer("inverse", torch.eye(expansion, dtype=torch.float64) / ridge)

    @classmethod
    def replacing(
        cls, head: TrainedHead, expansion: int, ridge: float, generator: torch.Generator
    ) -> AnalyticHead:
        """A head with the inputs, classes and device of `head`; P is uniform in ±1/√d, W is zero."""
        analytic = cls(head.weight.shape[1], expansion, ridge)
        bound = head.weight.shape[1] ** -0.5
        analytic.projection.uniform_(-bound, bound, generator=generator)
        analytic.grow(head.classes, generator)
        return analytic.to(head.weight.device)

    @property
    def classes(self) -> int:
        """n: rows of W."""
        return len(self.weight)

    def grow(self, new: int, generator: torch.Generator) -> None:  # noqa: ARG002 - nothing is random
        """Add `new` rows of zeros, the solution for classes without data."""
        zeros = self.weight.new_zeros(new, self.weight.shape[1])
        self.weight = nn.Parameter(torch.cat([self.weight.detach(), zeros]), requires_grad=False)

    def expanded(self, features: Tensor) -> Tensor:
        """relu(P f), float64 (B, D), of features (B, d)."""
        return F.relu(F.linear(features.double(), self.projection))

    def forward(self, features: Tensor) -> Tensor:
        """Logits, float64 (B, n), of features (B, d)."""
        return F.linear(self.expanded(features), self.weight)

    @torch.no_grad()
    def absorb(self, features: Tensor, labels: Tensor) -> None:
        """Update the solution with more data.

        Args:
            features: (B, d).
            labels: (B,), in 0 … n − 1.
        """
        x = self.expanded(features)
        y = F.one_hot(labels, self.classes).to(x)
        self.inverse = _updated_inverse(self.inverse, x)
        self.weight.add_((y - x @ self.weight.T).T @ x @ self.inverse)


def _updated_inverse(inverse: Tensor, x: Tensor) -> Tensor:
    """(R⁻¹ + XᵀX)⁻¹ = R − R Xᵀ (I + X R Xᵀ)⁻¹ X R, made symmetric despite rounding."""
    projected = x @ inverse  # (B, D)
    gain = torch.linalg.solve(torch.eye(len(x)).to(x) + projected @ x.T, projected)
    updated: Tensor = inverse - projected.T @ gain
    return (updated + updated.T) / 2
