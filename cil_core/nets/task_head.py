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
        return self.scaled(features, features.new_ones(len(self.weights)))

    def scaled(self, features: Tensor, scales: Tensor) -> Tensor:
        """Logits (B, n) of features (B, d), which each layer reads times its own of `scales` (tasks,)."""
        layers = zip(self.weights, self.biases, scales, strict=True)
        logits = [F.linear(scale * features, weight, bias) for weight, bias, scale in layers]
        return torch.cat(logits, dim=1) if logits else features.new_zeros(len(features), 0)

    def match_structure(self, state: Mapping[str, Tensor]) -> None:
        """Create the layers that `state` has weights for."""
        for _ in range(sum(name.startswith("weights.") for name in state) - len(self.weights)):
            self._append(torch.zeros(0, self.width), torch.zeros(0))
        self.unlock(everything=False)

    def _append(self, weight: Tensor, bias: Tensor) -> None:
        self.weights.append(nn.Parameter(weight))
        self.biases.append(nn.Parameter(bias))
