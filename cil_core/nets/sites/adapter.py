"""S3, parallel adapters: a + MLP(LN a) + s · (U drop(relu(D a + b_D)) + b_U) in every block."""

from __future__ import annotations

import math
from collections.abc import Iterable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from cil_core.nets.sites.walk import Shape, Sites

SCALE = 0.1
DROPOUT = 0.1


class Adapters(nn.Module, Sites):
    """One adapter per block, on the stream after attention, which is not normalised (AdaptFormer).

    Down-projections start uniform in ±1/√d, up-projections and biases at 0: a fresh adapter adds nothing.

    Args:
        shape: of the network.
        rank: r, the width between the projections.
        generator: a CPU generator, the only source of the start values.

    Attributes:
        dropout: source of the dropout masks. Training needs one; evaluation drops nothing.
    """

    def __init__(self, shape: Shape, rank: int, generator: torch.Generator) -> None:
        super().__init__()
        size = (shape.blocks, rank, shape.width)
        bound = 1 / math.sqrt(shape.width)
        self.down = nn.Parameter(torch.empty(size).uniform_(-bound, bound, generator=generator))
        self.down_bias = nn.Parameter(torch.zeros(shape.blocks, rank))
        self.up = nn.Parameter(torch.zeros(shape.blocks, shape.width, rank))
        self.up_bias = nn.Parameter(torch.zeros(shape.blocks, shape.width))
        self.dropout: torch.Generator | None = None

    def parallel(self, block: int, attended: Tensor) -> Tensor:
        """The adapter's term (B, N, d)."""
        hidden = F.relu(F.linear(attended, self.down[block], self.down_bias[block]))
        if self.training:
            hidden = self._dropped(hidden)
        return SCALE * F.linear(hidden, self.up[block], self.up_bias[block])

    def _dropped(self, hidden: Tensor) -> Tensor:
        if self.dropout is None:
            raise RuntimeError("adapters need a generator for dropout while they train")
        kept = torch.empty_like(hidden).bernoulli_(1 - DROPOUT, generator=self.dropout)
        return hidden * kept / (1 - DROPOUT)


@torch.no_grad()
def blend(adapters: Adapters, others: Iterable[Adapters], share: float) -> None:
    """Move every parameter by `share` of its distance towards the mean of `others`."""
    for parameter, *values in zip(
        adapters.parameters(), *(other.parameters() for other in others), strict=True
    ):
        parameter.lerp_(torch.stack([value.detach() for value in values]).mean(dim=0), share)
