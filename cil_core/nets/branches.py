"""1 × 1 branches beside 3 × 3 convolutions, trained while everything else rests, then folded (SSRE).

Decisions:
    * A 1 × 1 convolution of the same stride is the centre of a 3 × 3 one. A branch is therefore a
      parametrisation of the weight, K₃ + pad(K₁): the same function, and folding it in changes no bit.
    * Branches start at 0 and have no bias. They exist during a task only, so checkpoints do not contain them.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils import parametrize


class Branch(nn.Module):
    """Adds a 1 × 1 kernel to the centre of a 3 × 3 kernel.

    Args:
        weight: K₃ (out, in, 3, 3).
    """

    def __init__(self, weight: Tensor) -> None:
        super().__init__()
        self.kernel = nn.Parameter(torch.zeros_like(weight[:, :, :1, :1]))

    def forward(self, weight: Tensor) -> Tensor:
        """K₃ + pad(K₁)."""
        return weight + F.pad(self.kernel, (1, 1, 1, 1))


def branched(module: nn.Module) -> Iterator[nn.Conv2d]:
    """Every 3 × 3 convolution."""
    for part in module.modules():
        if isinstance(part, nn.Conv2d) and part.kernel_size == (3, 3):
            yield part


def add_branches(module: nn.Module) -> list[nn.Parameter]:
    """Give every 3 × 3 convolution a branch; returns the kernels of all branches."""
    kernels = []
    for convolution in list(branched(module)):
        branch = Branch(convolution.weight)
        parametrize.register_parametrization(convolution, "weight", branch)
        kernels.append(branch.kernel)
    return kernels


def fold_branches(module: nn.Module) -> None:
    """Fold every branch into its convolution."""
    for convolution in list(branched(module)):
        if parametrize.is_parametrized(convolution, "weight"):
            parametrize.remove_parametrizations(convolution, "weight", leave_parametrized=True)
