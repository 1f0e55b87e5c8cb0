"""S4, low-rank updates of linear layers (LoRA): W ← W + s · U D."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from cil_core.nets.sites.walk import Layer, Shape, Sites

Target = Literal["q", "k", "v", "qkv", "fc1", "fc2"]
"""A layer, or the rows of `qkv` that make queries, keys or values."""


class LowRank(nn.Module, Sites):
    """Updates of the chosen layers of every block; up-projections start at 0.

    Args:
        shape: of the network.
        rank: r.
        targets: what is updated.
        scale: s.

    Attributes:
        down: D by target, (blocks, r, inputs); zeros until the method sets them.
        up: U by target, (blocks, outputs, r).
    """

    def __init__(self, shape: Shape, rank: int, targets: Sequence[Target], scale: float = 1.0) -> None:
        super().__init__()
        self.scale = scale
        self.down, self.up = nn.ParameterDict(), nn.ParameterDict()
        for target in targets:
            inputs = shape.hidden if target == "fc2" else shape.width
            outputs = {"fc1": shape.hidden, "qkv": 3 * shape.width}.get(target, shape.width)
            self.down[target] = nn.Parameter(torch.zeros(shape.blocks, rank, inputs))
            self.up[target] = nn.Parameter(torch.zeros(shape.blocks, outputs, rank))

    def output(self, layer: Layer, block: int, given: Tensor, made: Tensor) -> Tensor:
        """The layer's output and the updates of its rows."""
        for target in self.up:
            if _layer(target) != layer:
                continue
            term = self.scale * F.linear(F.linear(given, self.down[target][block]), self.up[target][block])
            low, high = _rows(target, made.shape[-1])
            made = made + F.pad(term, (low, made.shape[-1] - high))
        return made

    @torch.no_grad()
    def merge_into(self, vit: Any) -> None:
        """Add the updates to the weights of timm's network."""
        for index, block in enumerate(vit.blocks):
            for target in self.up:
                weight = layer_of(block, _layer(target)).weight
                low, high = _rows(target, len(weight))
                weight[low:high] += self.scale * (self.up[target][index] @ self.down[target][index])


def layer_of(block: Any, layer: str) -> Any:
    """The linear layer of timm's block that `layer` names: `qkv`, `fc1` or `fc2`."""
    return block.attn.qkv if layer == "qkv" else getattr(block.mlp, layer)


def _layer(target: str) -> str:
    return "qkv" if target in "qkv" else target


def _rows(target: str, outputs: int) -> tuple[int, int]:
    """First row of the target among the layer's, and one past the last."""
    if target not in ("q", "k", "v"):
        return 0, outputs
    third = outputs // 3
    return "qkv".index(target) * third, ("qkv".index(target) + 1) * third
