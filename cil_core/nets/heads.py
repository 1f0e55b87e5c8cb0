"""Classifier heads that grow: `LinearHead` and `CosineHead`; and weight aligning, which rescales the newest rows of one.

Decisions:
    * A head starts with no class; `grow` adds rows. Old rows and biases are copied bit for bit.
    * New rows are Kaiming-uniform with gain "linear" (bound √(3/d)), biases 0, from an explicit generator.
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
        bias: whether there is a b.
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
        """Accept `features` more inputs; the columns of old rows for them are fresh."""
        columns = fresh_rows(self.classes, self.weight.shape[1] + features, generator)[:, -features:].to(
            self.weight
        )
        self.weight = nn.Parameter(torch.cat([self.weight.detach(), columns], dim=1))

    @torch.no_grad()
    def redraw(self, generator: torch.Generator) -> None:
        """Fresh rows in place of all there are, in the same parameters, so that an optimiser goes on with them."""
        rows, features = self.weight.shape
        self.weight.copy_(fresh_rows(rows, features, generator))
        if self.bias is not None:
            self.bias.zero_()

    def forward(self, features: Tensor) -> Tensor:
        """Logits (B, n) of features (B, d)."""
        return F.linear(features, self.weight, self.bias)


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
        self.append(fresh_rows(new, self.weight.shape[1], generator))

    def append(self, rows: Tensor) -> None:
        """Add the given rows (k, d)."""
        self.weight = nn.Parameter(torch.cat([self.weight.detach(), rows.to(self.weight)]))

    def cosines(self, features: Tensor) -> Tensor:
        """a = cos(f, w_c) in [−1, 1], shape (B, n)."""
        return cosines(features, self.weight)

    def forward(self, features: Tensor) -> Tensor:
        """Logits (B, n) of features (B, d)."""
        return self.scale * self.cosines(features)


def cosines(features: Tensor, rows: Tensor) -> Tensor:
    """cos(f, w_c) in [−1, 1], shape (B, n), of features (B, d) and rows (n, d)."""
    return F.linear(F.normalize(features, dim=1), F.normalize(rows, dim=1))


@torch.no_grad()
def align_new_rows(weight: nn.Parameter, known: int) -> float:
    """Weight aligning (WA, Zhao et al. 2020): scale the rows from `known` on, so that their mean norm equals that of the rows before.

    Args:
        weight: (n, d), changed in place; the first `known` rows are not touched.
        known: o ≥ 1.

    Returns:
        γ, the factor.

    Raises:
        Diverged: if all new rows are zero, so that no factor exists.
    """
    old, new = weight[:known].norm(dim=1).mean(), weight[known:].norm(dim=1).mean()
    if not new:
        raise Diverged(f"weight aligning: all {len(weight) - known} new rows of the classifier are zero")
    weight[known:] *= old / new
    return float(old / new)


def fresh_rows(rows: int, features: int, generator: torch.Generator) -> Tensor:
    """(rows, features) weights, uniform in ±√(3/features), drawn on the CPU."""
    bound = math.sqrt(3 / features)
    return torch.empty(rows, features).uniform_(-bound, bound, generator=generator)
