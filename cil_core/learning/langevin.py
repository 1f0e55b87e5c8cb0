"""Negatives of an energy model: images that a network takes for known, found by noisy descent (BEEF)."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor


def negatives(
    x: Tensor,
    energy: Callable[[Tensor], Tensor],
    generator: torch.Generator,
    *,
    steps: int,
    rate: float,
    noise: float,
) -> Tensor:
    """Images (B, C, H, W) that start upside down and take some steps down the energy.

    Args:
        x: prepared images.
        energy: a scalar of the whole batch; its network is in evaluation mode.
        generator: of the noise, on the device of `x`.
        steps: number of steps.
        rate: factor of the gradient.
        noise: standard deviation of the normal noise that each step adds.

    Returns:
        Constants; `x` is unchanged.
    """
    found = x.rot90(2, dims=(2, 3))
    for _ in range(steps):
        found = found.detach().requires_grad_()
        (gradient,) = torch.autograd.grad(energy(found), found)
        drift = torch.randn(x.shape, generator=generator, device=x.device)
        found = found - rate * gradient + noise * drift
    return found.detach()


def negative_cross_entropy(unified: Tensor, own: Tensor, target: Tensor) -> Tensor:
    """Cross-entropy of negatives towards the forward prototype of the image they come from.

    The column of the image's own class is removed, row by row.

    Args:
        unified: [u, v] of the negatives, (B, m).
        own: column of u of each image, (B,).
        target: column of v of each image, (B,).
    """
    rows = torch.arange(unified.shape[1], device=own.device) == own[:, None]
    return torch.nn.functional.cross_entropy(unified.masked_fill(rows, -torch.inf), target)
