"""`FusionHeads`: what BEEF trains on a new extractor, and how it becomes part of one classifier.

Notation: t − 1 old tasks, k new classes, n seen ones, d features of the new extractor φ.

Decisions:
    * A row per old task raises or lowers all classes of that task alike, so their ranking never changes.
    * Sums over the classes of a task are matrix products, which are deterministic on a GPU.
"""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import Tensor, nn

from cil_core.nets.heads import LinearHead


class FusionHeads(nn.Module):
    """New head, backward prototypes B, forward prototypes V, and a scale α and shift β per old task.

    Args:
        width: d.
        bounds: class boundaries of the tasks so far, (0, first, …, n).
        generator: a CPU generator.
    """

    membership: Tensor  # (t − 1, o), which old class belongs to which task

    def __init__(self, width: int, bounds: tuple[int, ...], generator: torch.Generator) -> None:
        super().__init__()
        known, seen, tasks = bounds[-2], bounds[-1], len(bounds) - 2
        self.new, self.backward_prototypes, self.forward_prototypes = (LinearHead(width) for _ in range(3))
        self.new.grow(seen - known, generator)
        self.backward_prototypes.grow(tasks, generator)
        self.forward_prototypes.grow(seen, generator)
        self.scale = nn.Parameter(torch.zeros(tasks))
        self.shift = nn.Parameter(torch.zeros(tasks))
        membership = torch.zeros(tasks, known)
        for task, (low, high) in enumerate(pairwise(bounds[:-1])):
            membership[task, low:high] = 1
        self.register_buffer("membership", membership)

    def expansion(self, features: Tensor) -> Tensor:
        """u: a logit per old task and per new class, (B, t − 1 + k)."""
        return torch.cat([self.backward_prototypes(features), self.new(features)], dim=1)

    def unified(self, features: Tensor) -> Tensor:
        """[u, v] with v = V φ, a second logit per class for what is none of them: (B, t − 1 + k + n)."""
        return torch.cat([self.expansion(features), self.forward_prototypes(features)], dim=1)

    def fused(self, old_logits: Tensor, features: Tensor) -> Tensor:
        """Logits (B, n): old ones raised per task by (1 + α) B φ + β, and those of the new head.

        Args:
            old_logits: (B, o), of the old extractors.
            features: φ, (B, d).
        """
        raised = (1 + self.scale) * self.backward_prototypes(features) + self.shift
        return torch.cat([old_logits + raised @ self.membership, self.new(features)], dim=1)

    @torch.no_grad()
    def fuse(self, head: LinearHead, *, old_bias: bool) -> None:
        """Write the same function into a head over the features of all extractors.

        Args:
            head: its block of old rows and old columns is kept, all else is overwritten.
            old_bias: whether biases of old rows are kept and added to.
        """
        known, width = self.membership.shape[1], self.new.weight.shape[1]
        assert head.bias is not None  # noqa: S101 — `build` gives it one
        assert self.new.bias is not None  # noqa: S101
        assert self.backward_prototypes.bias is not None  # noqa: S101
        columns = (1 + self.scale)[:, None] * self.backward_prototypes.weight
        head.weight[:known, -width:] = self.membership.T @ columns
        head.weight[known:, :-width] = 0
        head.weight[known:, -width:] = self.new.weight
        raised = self.membership.T @ ((1 + self.scale) * self.backward_prototypes.bias + self.shift)
        head.bias[:known] = head.bias[:known] + raised if old_bias else raised
        head.bias[known:] = self.new.bias


def task_labels(labels: Tensor, bounds: tuple[int, ...]) -> Tensor:
    """Columns of u: the index of its task for an old image, t − 1 + (y − o) for a new one."""
    known, tasks = bounds[-2], len(bounds) - 2
    edges = torch.tensor(bounds[1:], device=labels.device)
    task = torch.bucketize(labels, edges, right=True)
    return torch.where(labels < known, task, tasks + labels - known)
