"""CutMix: a random part of each image comes from another one (Yun et al., ICCV 2019)."""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor


class Mixed(NamedTuple):
    """A mixed batch: images, labels of the pasted images, and the share of area that an image keeps."""

    x: Tensor
    pasted: Tensor
    share: float


def cutmix(x: Tensor, labels: Tensor, generator: torch.Generator) -> Mixed:
    """Paste one box, the same for the whole batch, from shuffled images.

    The kept share λ is drawn from Beta(1, 1), which is uniform. The box has the ratio of the image and is cut
    off at the border, so λ is computed again from its real area.

    Args:
        x: prepared images (B, C, H, W), left unchanged.
        labels: (B,).
        generator: a CPU generator.
    """
    height, width = x.shape[-2:]
    side = math.sqrt(1 - float(torch.rand((), generator=generator)))
    top, bottom = _span(height, side, generator)
    left, right = _span(width, side, generator)
    other = torch.randperm(len(x), generator=generator).to(x.device)
    mixed = x.clone()
    mixed[..., top:bottom, left:right] = x[other][..., top:bottom, left:right]
    return Mixed(mixed, labels[other], 1 - (bottom - top) * (right - left) / (height * width))


def _span(extent: int, side: float, generator: torch.Generator) -> tuple[int, int]:
    """First and last position of `side` · `extent` pixels around a random one, cut off at the border."""
    half = int(extent * side) // 2
    centre = int(torch.randint(extent, (), generator=generator))
    return max(0, centre - half), min(extent, centre + half)
