"""Recursive ridge regression on expanded features: the heads of ACIL, DS-AL and GKEAL.

ACIL: Zhuang et al. 2022. DS-AL: Zhuang et al. 2024. GKEAL: Zhuang et al. 2023.

Decisions:
    * Everything is float64: the recursion is unstable in float32.
    * R = (XᵀX + γI)⁻¹ is updated before the weights, which use the updated R (Woodbury). Up to rounding, the
      weights solve the joint regression on all data, however it is split.
    * R has D² numbers and is part of the state dict, so that it counts as kept bytes.
"""

from __future__ import annotations

from typing import Self

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from cil_core.nets.heads import TrainedHead


class RecursiveRidge(nn.Module):
    """Y ≈ X Wᵀ: the weights W of a ridge regression, updated with every batch.

    Args:
        width: D, the number of inputs.
        ridge: γ, the weight of the squared norm of W.
    """

    inverse: Tensor

    def __init__(self, width: int, ridge: float) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(0, width, dtype=torch.float64), requires_grad=False)
        self.register_buffer("inverse", torch.eye(width, dtype=torch.float64) / ridge)

    @property
    def classes(self) -> int:
        """n: rows of W."""
        return len(self.weight)

    def grow(self, new: int, generator: torch.Generator) -> None:  # noqa: ARG002 - nothing is random
        """Add `new` rows of zeros, the solution for classes without data."""
        zeros = self.weight.new_zeros(new, self.weight.shape[1])
        self.weight = nn.Parameter(torch.cat([self.weight.detach(), zeros]), requires_grad=False)

    @torch.no_grad()
    def update(self, x: Tensor, y: Tensor) -> None:
        """Update the solution with more data.

        Args:
            x: inputs, float64 (B, D).
            y: targets, float64 (B, n).
        """
        self.inverse = _updated_inverse(self.inverse, x)
        self.weight.add_((y - x @ self.weight.T).T @ x @ self.inverse)


class ExpandedRidge(RecursiveRidge):
    """z = W h, where a subclass expands features f to h."""

    def expanded(self, features: Tensor) -> Tensor:
        """h, float64 (B, D), of features (B, d)."""
        raise NotImplementedError

    def forward(self, features: Tensor) -> Tensor:
        """Logits, float64 (B, n), of features (B, d)."""
        return F.linear(self.expanded(features), self.weight)

    def absorb(self, features: Tensor, labels: Tensor) -> None:
        """Update the solution with more data.

        Args:
            features: (B, d).
            labels: (B,), in 0 … n − 1.
        """
        x = self.expanded(features)
        self.update(x, F.one_hot(labels, self.classes).to(x))


class AnalyticHead(ExpandedRidge):
    """z = W relu(P f): a fixed random projection P to D dimensions and a closed-form linear classifier.

    Args:
        features: d, the input width.
        expansion: D.
        ridge: γ.
    """

    def __init__(self, features: int, expansion: int, ridge: float) -> None:
        super().__init__(expansion, ridge)
        self.projection = nn.Parameter(
            torch.zeros(expansion, features, dtype=torch.float64), requires_grad=False
        )

    @classmethod
    def replacing(
        cls, head: TrainedHead, expansion: int, ridge: float, generator: torch.Generator
    ) -> AnalyticHead:
        """A head with the inputs, classes and device of `head`; P is uniform in ±1/√d, W is zero."""
        return cls(head.weight.shape[1], expansion, ridge).drawn(head, generator)

    def drawn(self, head: TrainedHead, generator: torch.Generator) -> Self:
        """This head, with a drawn P, the classes and the device of `head`."""
        bound = head.weight.shape[1] ** -0.5
        self.projection.uniform_(-bound, bound, generator=generator)
        self.grow(head.classes, generator)
        return self.to(head.weight.device)

    def expanded(self, features: Tensor) -> Tensor:
        """relu(P f), float64 (B, D), of features (B, d)."""
        return F.relu(self.projected(features))

    def projected(self, features: Tensor) -> Tensor:
        """P f, float64 (B, D), of features (B, d)."""
        return F.linear(features.double(), self.projection)


class DualStreamHead(AnalyticHead):
    """z = W relu(P f) + C · V tanh(P f): a second regression V learns what the first one leaves (DS-AL).

    Args:
        features: d, the input width.
        expansion: D.
        ridge: γ of W.
        compensation_ridge: γ of V.
        strength: C.
    """

    def __init__(
        self, features: int, expansion: int, ridge: float, compensation_ridge: float, strength: float
    ) -> None:
        super().__init__(features, expansion, ridge)
        self.compensation = RecursiveRidge(expansion, compensation_ridge)
        self.strength = strength

    def grow(self, new: int, generator: torch.Generator) -> None:
        """Add `new` rows of zeros to both regressions."""
        super().grow(new, generator)
        self.compensation.grow(new, generator)

    def forward(self, features: Tensor) -> Tensor:
        """Logits, float64 (B, n), of features (B, d)."""
        projected = self.projected(features)
        main = F.linear(F.relu(projected), self.weight)
        return main + self.strength * F.linear(projected.tanh(), self.compensation.weight)

    def compensate(self, features: Tensor, labels: Tensor, known: int) -> None:
        """Fit V to the residual of the present W; its targets of old classes are 0.

        Args:
            features: (B, d), of new classes.
            labels: (B,).
            known: o, classes whose columns are cleared.
        """
        projected = self.projected(features)
        x = F.relu(projected)
        residual = F.one_hot(labels, self.classes).to(x) - F.linear(x, self.weight)
        residual[:, :known] = 0
        self.compensation.update(projected.tanh(), residual)


class KernelHead(ExpandedRidge):
    """z = W k with k_j = exp(−‖f − c_j‖² / 2σ²): similarities to fixed centres C (GKEAL).

    Args:
        features: d, the input width.
        ridge: γ.
    """

    centres: Tensor
    sigma: Tensor

    def __init__(self, features: int, ridge: float) -> None:
        super().__init__(0, ridge)
        self.ridge = ridge
        self.register_buffer("centres", torch.zeros(0, features, dtype=torch.float64))
        self.register_buffer("sigma", torch.ones((), dtype=torch.float64))

    def place(self, centres: Tensor, sigma: float) -> None:
        """Set the centres (D, d) and the width of the kernel; all weights become zero."""
        self.centres = centres.double()
        self.sigma.fill_(sigma)
        self.weight = nn.Parameter(self.weight.new_zeros(self.classes, len(centres)), requires_grad=False)
        self.inverse = torch.eye(len(centres)).to(self.centres) / self.ridge

    def expanded(self, features: Tensor) -> Tensor:
        """k, float64 (B, D), of features (B, d)."""
        return (-torch.cdist(features.double(), self.centres).square() / (2 * self.sigma**2)).exp()


def median_distance(features: Tensor, pairs: int, generator: torch.Generator) -> float:
    """The median distance of random pairs of different features (N, d), N ≥ 2."""
    count = len(features)
    first = torch.randint(count, (pairs,), generator=generator)
    other = (first + torch.randint(1, count, (pairs,), generator=generator)) % count
    return float((features[first] - features[other]).norm(dim=1).median())


def _updated_inverse(inverse: Tensor, x: Tensor) -> Tensor:
    """(R⁻¹ + XᵀX)⁻¹ = R − R Xᵀ (I + X R Xᵀ)⁻¹ X R, made symmetric despite rounding."""
    projected = x @ inverse  # (B, D)
    gain = torch.linalg.solve(torch.eye(len(x)).to(x) + projected @ x.T, projected)
    updated: Tensor = inverse - projected.T @ gain
    return (updated + updated.T) / 2
