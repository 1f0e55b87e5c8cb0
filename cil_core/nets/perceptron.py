"""`Perceptron`: a small network from features to features, drawn from a given generator."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class Affine(nn.Module):
    """W f + b; both start uniform in ±1/√inputs, as PyTorch's linear layers do.

    Args:
        inputs: width of f.
        outputs: rows.
        generator: a CPU generator.
    """

    def __init__(self, inputs: int, outputs: int, generator: torch.Generator) -> None:
        super().__init__()
        bound = 1 / math.sqrt(inputs)
        start = torch.empty(outputs, inputs + 1).uniform_(-bound, bound, generator=generator)
        self.weight = nn.Parameter(start[:, :-1].clone())
        self.bias = nn.Parameter(start[:, -1].clone())

    def forward(self, features: Tensor) -> Tensor:
        """(B, inputs) → (B, outputs)."""
        return F.linear(features, self.weight, self.bias)


class Perceptron(nn.Sequential):
    """Two affine layers with a GELU between them.

    Args:
        width: of inputs and outputs.
        hidden: units between.
        generator: a CPU generator.
    """

    def __init__(self, width: int, hidden: int, generator: torch.Generator) -> None:
        super().__init__(Affine(width, hidden, generator), nn.GELU(), Affine(hidden, width, generator))
