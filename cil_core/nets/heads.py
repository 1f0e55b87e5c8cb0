"""Classifier heads that grow (`LinearHead`, `CosineHead`), and weight aligning, which rescales newest rows.

Decisions:
    * A head starts without classes; `grow` adds rows. Old rows and biases are copied bit for bit; old logits
      agree up to rounding, since a wider matrix product may sum in another order.
    * New linear rows are Kaiming-uniform with gain "linear" (bound √(3/d)), new biases are 0. New cosine rows
      are uniform in ±1/√d, as in UCIR, COIL and PyCIL. Both come from an explicit generator.
    * `widen` adds input features, for networks whose representation grows; the old block keeps its weights.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from cil_core.spec.errors import Diverged


class LinearHead(nn.Module):
    """z = W f + b.

    Args:
        features: d, the input width.
        bias: whether to add b.
    """

    bias: nn.Parameter | None

    def __init__(self, features: int, *, bias: bool = True) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(0, features))
        self.bias = nn.Parameter(torch.zeros(0)) if bias else None

    @property
    def classes(self) -> int:
        """n: rows so far."""
        return len(self.weight)

    def grow(self, new: int, generator: torch.Generator) -> None:
        """Add `new` freshly initialised rows."""
        rows = fresh_rows(new, self.weight.shape[1], generator).to(self.weight)
        self.weight = nn.Parameter(torch.cat([self.weight.detach(), rows]))
        if self.bias is not None:
            self.bias = nn.Parameter(torch.cat([self.bias.detach(), torch.zeros(new).to(self.bias)]))

    def widen(self, features: int, generator: torch.Generator) -> None:
        """Add `features` inputs, with fresh columns for all rows."""
        columns = fresh_rows(self.classes, self.weight.shape[1] + features, generator)[:, -features:].to(
            self.weight
        )
        self.weight = nn.Parameter(torch.cat([self.weight.detach(), columns], dim=1))

    @torch.no_grad()
    def redraw(self, generator: torch.Generator) -> None:
        """Draw all rows again, in the same parameters, so that an optimiser can keep them."""
        rows, features = self.weight.shape
        self.weight.copy_(fresh_rows(rows, features, generator))
        if self.bias is not None:
            self.bias.zero_()

    def forward(self, features: Tensor) -> Tensor:
        """Logits (B, n) of features (B, d)."""
        return F.linear(features, self.weight, self.bias)


class UnitLinearHead(LinearHead):
    """z = W f / ‖f‖ + b."""

    def forward(self, features: Tensor) -> Tensor:
        """Logits (B, n) of features (B, d)."""
        return super().forward(F.normalize(features, dim=1))


class CosineHead(nn.Module):
    """z = s · cos(f, w_c), with one learnable scale s (starting at 1) and no bias.

    Args:
        features: d, the input width.
    """

    def __init__(self, features: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(0, features))
        self.scale = nn.Parameter(torch.ones(()))

    @property
    def classes(self) -> int:
        """n: rows so far."""
        return len(self.weight)

    def grow(self, new: int, generator: torch.Generator) -> None:
        """Add `new` freshly initialised rows."""
        self.append(fresh_cosine_rows(new, self.weight.shape[1], generator))

    def append(self, rows: Tensor) -> None:
        """Add the given rows (k, d)."""
        self.weight = nn.Parameter(torch.cat([self.weight.detach(), rows.to(self.weight)]))

    def cosines(self, features: Tensor) -> Tensor:
        """a = cos(f, w_c) in [−1, 1], shape (B, n)."""
        return cosines(features, self.weight)

    def forward(self, features: Tensor) -> Tensor:
        """Logits (B, n) of features (B, d)."""
        return self.scale * self.cosines(features)


TrainedHead = LinearHead | CosineHead
"""A head that trains by gradient descent."""


def cosines(features: Tensor, rows: Tensor) -> Tensor:
    """cos(f, w_c) in [−1, 1], shape (B, n), of features (B, d) and rows (n, d)."""
    return F.linear(F.normalize(features, dim=1), F.normalize(rows, dim=1))


@torch.no_grad()
def align_new_rows(weight: nn.Parameter, known: int) -> float:
    """Weight aligning (WA, Zhao et al. 2020): scale new rows to the mean norm of old ones.

    Args:
        weight: (n, d), changed in place from row `known` on.
        known: o ≥ 1.

    Returns:
        γ, the factor.

    Raises:
        Diverged: if all new rows are zero.
    """
    old, new = weight[:known].norm(dim=1).mean(), weight[known:].norm(dim=1).mean()
    if not new:
        raise Diverged(f"weight aligning: all {len(weight) - known} new rows of the classifier are zero")
    weight[known:] *= old / new
    return float(old / new)


def fresh_cosine_rows(rows: int, features: int, generator: torch.Generator) -> Tensor:
    """(rows, features) weights of a cosine head, uniform in ±1/√features, drawn on the CPU."""
    bound = 1 / math.sqrt(features)
    return torch.empty(rows, features).uniform_(-bound, bound, generator=generator)


def fresh_rows(rows: int, features: int, generator: torch.Generator) -> Tensor:
    """(rows, features) weights, uniform in ±√(3/features), drawn on the CPU."""
    bound = math.sqrt(3 / features)
    return torch.empty(rows, features).uniform_(-bound, bound, generator=generator)
