"""Rotations as labels: every class becomes four, one per quarter turn (PASS, Zhu et al. 2021)."""

from __future__ import annotations

import torch
from torch import Tensor

from cil_core.nets.heads import LinearHead

TURNS = 4
EXTRA_TURNS = TURNS - 1


def rotated(images: Tensor) -> Tensor:
    """The batch (B, C, S, S) rotated by 0, 90, 180 and 270 degrees, concatenated: (4B, C, S, S).

    Raises:
        ValueError: if images are not square.
    """
    if images.shape[-1] != images.shape[-2]:
        raise ValueError(
            f"cannot rotate {images.shape[-2]} × {images.shape[-1]} images by 90 degrees; they must be square"
        )
    return torch.cat([images.rot90(turn, dims=(-2, -1)) for turn in range(TURNS)])


def rotated_labels(labels: Tensor) -> Tensor:
    """4y + q for the images of `rotated`, (4B,)."""
    return torch.cat([TURNS * labels + turn for turn in range(TURNS)])


def extra_turn_labels(labels: Tensor, classes: int) -> Tensor:
    """For the images of `rotated`, where turns are extra classes: y, then k + 3y + q − 1 (EFC), (4B,).

    Args:
        labels: y (B,), below `classes`.
        classes: k, all classes without turns.
    """
    turned = [classes + EXTRA_TURNS * labels + turn for turn in range(EXTRA_TURNS)]
    return torch.cat([labels, *turned])


class RotationHead(LinearHead):
    """A linear head with four rows per class: row 4c + q is class c after q quarter turns.

    Row 4c classifies.

    Args:
        features: d, the input width.
    """

    @property
    def classes(self) -> int:
        """n: a quarter of the rows."""
        return len(self.weight) // TURNS

    def grow(self, new: int, generator: torch.Generator) -> None:
        """Add the rows of `new` classes."""
        super().grow(TURNS * new, generator)

    def joint(self, features: Tensor) -> Tensor:
        """Logits of every class and rotation, (B, 4n)."""
        return super().forward(features)

    def forward(self, features: Tensor) -> Tensor:
        """Logits of the classes without rotation, (B, n)."""
        return self.joint(features)[:, ::TURNS]
