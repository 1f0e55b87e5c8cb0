"""Classifier alignment: heads train on features that are drawn from stored class Gaussians."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor

from cil_core.data.arrays import Batch
from cil_core.learning.gaussians import Sampler


class DrawnFeatures:
    """Training data of `per_class` drawn features per class; every pass draws new ones.

    Args:
        sampler: of the class Gaussians.
        per_class: features per class and pass.
    """

    def __init__(self, sampler: Sampler, per_class: int) -> None:
        self.sampler, self.per_class = sampler, per_class

    def __len__(self) -> int:
        """Features per pass."""
        return len(self.sampler.means) * self.per_class

    def batches(
        self,
        batch_size: int,
        generator: torch.Generator | None = None,
        augment: bool = False,  # noqa: ARG002 - part of the interface
    ) -> Iterator[Batch]:
        """One pass in random order.

        Raises:
            ValueError: without a generator.
        """
        if generator is None:
            raise ValueError("drawn features need a generator")
        device = self.sampler.means.device
        drawn = torch.cat(
            [
                self.sampler.draw_from(label, self.per_class, generator)
                for label in range(len(self.sampler.means))
            ]
        )
        labels = torch.arange(len(self.sampler.means), device=device).repeat_interleave(self.per_class)
        order = torch.randperm(len(self), generator=generator, device=generator.device).to(device)
        for index in order.split(batch_size):
            yield Batch(drawn[index], labels[index], index, drawn[index])


def symmetric_cross_entropy(logits: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
    """Cross-entropy and reverse cross-entropy −Σ_c p_c ln max(onehot_c, 1e-4) = 9.21 (1 − p_y)."""
    chosen = logits.softmax(dim=1).gather(1, labels[:, None])
    return F.cross_entropy(logits, labels), -math.log(1e-4) * (1 - chosen).mean()


def normalised_cross_entropy(
    logits: Tensor, labels: Tensor, bounds: Sequence[int], temperature: float
) -> Tensor:
    """CE(z / (τ ν), y), ν the mean over tasks of the length of their logits (SLCA, Zhang et al. 2023).

    Args:
        logits: (B, n).
        labels: (B,).
        bounds: class boundaries of the tasks, `(0, first, …, n)`.
        temperature: τ.
    """
    lengths = torch.stack([logits[:, low:high].norm(dim=1) for low, high in pairwise(bounds)], dim=1)
    norm = lengths.mean(dim=1, keepdim=True) + 1e-7
    return F.cross_entropy(logits / (temperature * norm), labels)
