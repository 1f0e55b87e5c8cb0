"""`PathIntegral`: how much each parameter's path through training lowered the loss (SI, Zenke et al. 2017).

Decisions:
    * ω_i sums −g_i · Δθ_i over optimiser steps, with the gradient g before the step and the displacement Δθ
      that the optimiser really made. For small steps Σ ω is the drop of the loss; large ones overstate it.
    * g is the gradient of the task's own loss. The caller removes a penalty's gradient first.
    * It lives for one phase and is no part of the state dict.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn


class PathIntegral:
    """The path of a module's parameters from now on.

    Args:
        module: its parameters keep their shapes while the path is recorded.
    """

    def __init__(self, module: nn.Module) -> None:
        self.module = module
        self.start = _values(module)
        self.sums = {name: torch.zeros_like(value) for name, value in self.start.items()}
        self._before: dict[str, Tensor] = {}
        self._gradients: dict[str, Tensor] = {}

    def before_step(self, gradients: Mapping[str, Tensor]) -> None:
        """Note the position and the gradients, by parameter name; parameters without one are left out."""
        self._before = _values(self.module)
        self._gradients = {name: value.clone() for name, value in gradients.items()}

    def after_step(self) -> None:
        """Add the step that the optimiser made."""
        after = _values(self.module)
        for name, gradient in self._gradients.items():
            self.sums[name] -= gradient * (after[name] - self._before[name])

    def importance(self, damping: float) -> dict[str, Tensor]:
        """max(0, ω) / ((θ − θ_start)² + ξ), by parameter name.

        Args:
            damping: ξ > 0; it bounds the importance of a parameter that came back to its start.
        """
        return {
            name: self.sums[name].clamp(min=0) / ((value - self.start[name]).square() + damping)
            for name, value in _values(self.module).items()
        }


def _values(module: nn.Module) -> dict[str, Tensor]:
    return {name: parameter.detach().clone() for name, parameter in module.named_parameters()}
