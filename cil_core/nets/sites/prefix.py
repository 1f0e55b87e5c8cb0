"""S2, prefixes: every sample brings keys and values of its own into the attention of some blocks."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from cil_core.nets.sites.walk import Sites


class Prefix(Sites):
    """Keys and values that precede the sequence's; queries stay as they are.

    A prefix of p zeros multiplies each head's output by S / (S + p), with S = Σ_j exp(q · k_j · scale).

    Args:
        prompts: by block, keys and values (B, 2, p, d): axis 1 is key, value.
        heads: of the network.
    """

    def __init__(self, prompts: Mapping[int, Tensor], heads: int) -> None:
        self.prompts = prompts
        self.heads = heads

    def keys_values(self, block: int, keys: Tensor, values: Tensor) -> tuple[Tensor, Tensor]:
        """The prefix, followed by the given keys and values."""
        if block not in self.prompts:
            return keys, values
        batch, _, length, width = self.prompts[block].shape
        split = self.prompts[block].reshape(batch, 2, length, self.heads, width // self.heads)
        prefix = split.transpose(2, 3).to(keys)  # (B, 2, heads, p, d / heads)
        return torch.cat([prefix[:, 0], keys], dim=2), torch.cat([prefix[:, 1], values], dim=2)
