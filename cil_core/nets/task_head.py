"""`TaskHead`: a linear layer per task, so that the rows of old classes cannot move while new ones train."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

Start = Literal["uniform", "normal"]
"""Of new rows: uniform in ±1/√d with biases likewise (PyTorch's linear layer), or normal, 0.02, biases 0."""


class TaskHead(nn.Module):
    """Concatenated logits of one linear layer per task.

    Only the newest layer takes gradients, unless `unlock` opens all of them.

    Args:
        features: d, the input width.
        start: how new rows are drawn.
    """

    def __init__(self, features: int, start: Start = "uniform") -> None:
        super().__init__()
        self.width, self.start = features, start
        self.weights, self.biases = nn.ParameterList(), nn.ParameterList()

    @property
    def classes(self) -> int:
        """n: rows so far."""
        return sum(map(len, self.weights))

    def grow(self, new: int, generator: torch.Generator) -> None:
        """Add a layer of `new` freshly drawn rows; all other layers rest."""
        weight, bias = torch.empty(new, self.width), torch.zeros(new)
        if self.start == "uniform":
            bound = 1 / math.sqrt(self.width)
            weight.uniform_(-bound, bound, generator=generator)
            bias.uniform_(-bound, bound, generator=generator)
        else:
            nn.init.trunc_normal_(weight, std=0.02, generator=generator)
        device = self.weights[-1].device if len(self.weights) else None
        self._append(weight.to(device), bias.to(device))
        self.unlock(everything=False)

    def unlock(self, *, everything: bool) -> None:
        """Let gradients reach every layer, or the newest alone."""
        for parameters in (self.weights, self.biases):
            for index, parameter in enumerate(parameters, start=1):
                parameter.requires_grad_(everything or index == len(parameters))

    def newest(self, features: Tensor) -> Tensor:
        """Logits of the newest task's classes (B, k)."""
        return F.linear(features, self.weights[-1], self.biases[-1])

    def forward(self, features: Tensor) -> Tensor:
        """Logits (B, n) of features (B, d)."""
        if not len(self.weights):
            return features.new_zeros(len(features), 0)
        return torch.cat(
            [F.linear(features, *layer) for layer in zip(self.weights, self.biases, strict=True)], dim=1
        )

    def match_structure(self, state: Mapping[str, Tensor]) -> None:
        """Create the layers that `state` has weights for."""
        for _ in range(sum(name.startswith("weights.") for name in state) - len(self.weights)):
            self._append(torch.zeros(0, self.width), torch.zeros(0))
        self.unlock(everything=False)

    def _append(self, weight: Tensor, bias: Tensor) -> None:
        self.weights.append(nn.Parameter(weight))
        self.biases.append(nn.Parameter(bias))
