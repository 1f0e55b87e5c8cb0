"""`CorrectedHead`: a linear head with one bias correction of two numbers per task (BiC, Wu et al. 2019).

Decisions:
    * Every task has its own pair, which every forward pass applies to its classes, in student, teacher and
      evaluation. The first task's pair stays the identity.
    * Corrections start frozen. Only the phase that fits the newest one unfreezes it, so that no other phase
      changes them.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from cil_core.nets.heads import LinearHead


class BiasCorrection(nn.Module):
    """q = α z + β, initially the identity."""

    def __init__(self) -> None:
        super().__init__()
        self.alpha = nn.Parameter(torch.ones(()), requires_grad=False)
        self.beta = nn.Parameter(torch.zeros(()), requires_grad=False)


class CorrectedHead(nn.Module):
    """Linear logits with a correction per task.

    Args:
        features: d, the input width.
    """

    task_of_class: Tensor

    def __init__(self, features: int) -> None:
        super().__init__()
        self.linear = LinearHead(features)
        self.corrections = nn.ModuleList()
        self.register_buffer("task_of_class", torch.zeros(0, dtype=torch.long))

    @property
    def classes(self) -> int:
        """n: rows so far."""
        return self.linear.classes

    @property
    def newest(self) -> BiasCorrection:
        """The correction of the latest task's classes."""
        correction = self.corrections[-1]
        assert isinstance(correction, BiasCorrection)  # noqa: S101 - only `grow` appends
        return correction

    def grow(self, new: int, generator: torch.Generator) -> None:
        """Add a task with `new` rows and their correction."""
        task = torch.full((new,), len(self.corrections)).to(self.task_of_class)
        self.task_of_class = torch.cat([self.task_of_class, task])
        self.corrections.append(BiasCorrection().to(self.linear.weight.device))
        self.linear.grow(new, generator)

    def correct(self, logits: Tensor) -> Tensor:
        """Corrected logits (B, n) of linear logits (B, n)."""
        alpha, beta = (
            torch.stack([getattr(correction, name) for correction in self.corrections])
            for name in ("alpha", "beta")
        )  # (tasks,)
        return logits * alpha[self.task_of_class] + beta[self.task_of_class]

    def forward(self, features: Tensor) -> Tensor:
        """Corrected logits (B, n) of features (B, d)."""
        return self.correct(self.linear(features))

    def match_structure(self, state: Mapping[str, Tensor]) -> None:
        """Add as many corrections as `state` has."""
        for _ in range(sum(name.endswith(".alpha") for name in state)):
            self.corrections.append(BiasCorrection().to(self.linear.weight.device))
