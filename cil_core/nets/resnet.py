"""Residual networks of basic blocks (He et al., CVPR 2016): the CIFAR family 6n + 2 and ResNet-18.

Decisions:
    * The CIFAR family's shortcuts have no parameters: where the resolution halves, they take every other
      pixel and fill new channels with zeros. ResNet-18 and the cosine variants project with a 1 × 1
      convolution and batch norm.
    * The last block of a cosine variant ends without ReLU, since a cosine head needs features of both signs.
    * `gate` comes after the first ReLU of a block. Channels masked there do not affect the residual stream
      and can be pruned.
"""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn


class BasicBlock(nn.Module):
    """Two 3 × 3 convolutions and a shortcut.

    Args:
        inputs: input channels.
        outputs: output channels.
        stride: 2 halves the resolution.
        projection: whether a shortcut that changes shape is a convolution instead of zero padding.
        rectify: whether the block ends in a ReLU.
    """

    def __init__(
        self, inputs: int, outputs: int, stride: int, *, projection: bool, rectify: bool = True
    ) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride, padding=1, bias=False)
        self.norm1 = nn.BatchNorm2d(outputs)
        self.gate: nn.Module = nn.Identity()
        self.conv2 = nn.Conv2d(outputs, outputs, 3, padding=1, bias=False)
        self.norm2 = nn.BatchNorm2d(outputs)
        self.shortcut = _shortcut(inputs, outputs, stride, projection=projection)
        self.rectify = rectify

    def forward(self, x: Tensor) -> Tensor:
        """(B, inputs, H, W) → (B, outputs, H / stride, W / stride)."""
        inner = self.gate(F.relu(self.norm1(self.conv1(x)), inplace=True))
        total: Tensor = self.norm2(self.conv2(inner)).add_(self.shortcut(x))
        return F.relu(total, inplace=True) if self.rectify else total


class Subsample(nn.Module):
    """The shortcut without parameters: every other pixel, and zeros for new channels."""

    def __init__(self, new_channels: int, stride: int) -> None:
        super().__init__()
        self.new_channels = new_channels
        self.stride = stride

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) → (B, C + new, H / stride, W / stride)."""
        return F.pad(x[:, :, :: self.stride, :: self.stride], (0, 0, 0, 0, 0, self.new_channels))


def _shortcut(inputs: int, outputs: int, stride: int, *, projection: bool) -> nn.Module:
    if stride == 1 and inputs == outputs:
        return nn.Identity()
    if not projection:
        return Subsample(outputs - inputs, stride)
    return nn.Sequential(nn.Conv2d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs))


def cifar_stem(channels: int, width: int) -> nn.Sequential:
    """3 × 3 convolution at full resolution, batch norm and ReLU."""
    return nn.Sequential(
        nn.Conv2d(channels, width, 3, padding=1, bias=False), nn.BatchNorm2d(width), nn.ReLU(inplace=True)
    )


def imagenet_stem(channels: int, width: int) -> nn.Sequential:
    """7 × 7 convolution and max-pooling, to a quarter of the resolution."""
    convolution = nn.Conv2d(channels, width, 7, stride=2, padding=3, bias=False)
    return nn.Sequential(
        convolution, nn.BatchNorm2d(width), nn.ReLU(inplace=True), nn.MaxPool2d(3, stride=2, padding=1)
    )


def stages(widths: tuple[int, ...], blocks: int, *, projection: bool, signed: bool) -> list[nn.Module]:
    """One `Sequential` of blocks per width; every stage after the first halves the resolution.

    Args:
        widths: channels per stage; the stem outputs the first.
        blocks: blocks per stage.
        projection: see `BasicBlock`.
        signed: whether the very last block ends without ReLU.
    """
    inputs = (widths[0], *widths)
    last = len(widths) - 1
    return [
        nn.Sequential(
            *(
                BasicBlock(
                    inputs[index] if block == 0 else width,
                    width,
                    stride=2 if index > 0 and block == 0 else 1,
                    projection=projection,
                    rectify=not (signed and index == last and block == blocks - 1),
                )
                for block in range(blocks)
            )
        )
        for index, width in enumerate(widths)
    ]
