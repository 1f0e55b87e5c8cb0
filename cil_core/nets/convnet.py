"""A small convolutional network of three blocks, for images of 8 × 8 to 32 × 32 pixels."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

WIDTHS = (32, 64, 64)


class ConvBlock(nn.Module):
    """3 × 3 convolution, batch normalisation, ReLU; `gate` comes last.

    Args:
        inputs: input channels.
        outputs: output channels.
        halve: whether the input is max-pooled to half the resolution first.
        rectify: whether to apply the ReLU.
    """

    def __init__(self, inputs: int, outputs: int, *, halve: bool, rectify: bool = True) -> None:
        super().__init__()
        self.halve = halve
        self.conv = nn.Conv2d(inputs, outputs, 3, padding=1, bias=False)
        self.norm = nn.BatchNorm2d(outputs)
        self.rectify = rectify
        self.gate: nn.Module = nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        """(B, inputs, H, W) → (B, outputs, H or H/2, W or W/2)."""
        x = self.norm(self.conv(F.max_pool2d(x, 2) if self.halve else x))
        gated: Tensor = self.gate(F.relu(x, inplace=True) if self.rectify else x)
        return gated


def stages(channels: int, *, signed: bool) -> list[nn.Module]:
    """The three blocks, one per stage; with `signed` the last one has no ReLU."""
    first, second, third = WIDTHS
    return [
        ConvBlock(channels, first, halve=False),
        ConvBlock(first, second, halve=True),
        ConvBlock(second, third, halve=True, rectify=not signed),
    ]
