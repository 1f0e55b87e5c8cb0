"""S1, tokens: learnt tokens join the sequence once, or before every block."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from cil_core.nets.sites.walk import Shape, Sites


class ShallowTokens(nn.Module, Sites):
    """Tokens behind the patches in all blocks, without positions; they leave before the last norm.

    They start at 0.

    Args:
        shape: of the network.
        count: p, number of tokens.
    """

    def __init__(self, shape: Shape, count: int) -> None:
        super().__init__()
        self.tokens = nn.Parameter(torch.zeros(count, shape.width))

    def enter(self, tokens: Tensor) -> Tensor:
        """The sequence and the learnt tokens."""
        return _followed_by(tokens, self.tokens)

    def leave(self, tokens: Tensor) -> Tensor:
        """The sequence without them."""
        return tokens[:, : -len(self.tokens)]


class DeepTokens(nn.Module, Sites):
    """Tokens of its own for every block, dropped after it; they start at 0.

    Args:
        shape: of the network.
        count: p, number of tokens per block.
    """

    def __init__(self, shape: Shape, count: int) -> None:
        super().__init__()
        self.tokens = nn.Parameter(torch.zeros(shape.blocks, count, shape.width))

    def enter_block(self, block: int, tokens: Tensor) -> Tensor:
        """The sequence and this block's tokens."""
        return _followed_by(tokens, self.tokens[block])

    def leave_block(self, block: int, tokens: Tensor) -> Tensor:  # noqa: ARG002 - the same number in every block
        """The sequence without them."""
        return tokens[:, : -self.tokens.shape[1]]


class Between(Sites):
    """Tokens of each sample between class token and patches; the feature is the mean of their outputs (L2P).

    Args:
        tokens: (B, p, d).
    """

    def __init__(self, tokens: Tensor) -> None:
        self.tokens = tokens

    def enter(self, tokens: Tensor) -> Tensor:
        """Class token, the samples' tokens, patches."""
        return torch.cat([tokens[:, :1], self.tokens.to(tokens), tokens[:, 1:]], dim=1)

    def feature(self, tokens: Tensor) -> Tensor:
        """The mean output of the samples' tokens (B, d)."""
        return tokens[:, 1 : 1 + self.tokens.shape[1]].mean(dim=1)


def _followed_by(sequence: Tensor, tokens: Tensor) -> Tensor:
    return torch.cat([sequence, tokens.to(sequence).expand(len(sequence), -1, -1)], dim=1)
