"""`TunedNet`: a transformer that the first task tunes, beside the original (APER, Zhou et al. 2024)."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping

import torch
from torch import Tensor, nn

from cil_core.nets.backbones import Backbone
from cil_core.nets.heads import CosineHead
from cil_core.nets.incremental import freeze
from cil_core.nets.sited import SitedNet, embed
from cil_core.nets.sites import Adapters, DeepTokens, ScaleShift, ShallowTokens, Shape

TUNINGS: Mapping[str, Callable[[Shape, int, torch.Generator], nn.Module]] = {
    "adapter": Adapters,
    "ssf": lambda shape, size, generator: ScaleShift(shape, generator),  # noqa: ARG005 - it has no size
    "vpt-shallow": lambda shape, size, generator: ShallowTokens(shape, size),  # noqa: ARG005 - zeros
    "vpt-deep": lambda shape, size, generator: DeepTokens(shape, size),  # noqa: ARG005 - zeros
}
"""What tunes a frozen transformer, by name: (sizes, rank or tokens, generator) → additions."""


class TunedNet(SitedNet[CosineHead]):
    """An original transformer and a tuned one; `join` puts their features side by side.

    Additions share the original's weights. Only full tuning keeps a second network.

    Args:
        backbone: the original.
        tuning: a name in `TUNINGS`, or `finetune` for a copy that trains as a whole.
        size: rank of adapters, or number of tokens.
    """

    def __init__(self, backbone: Backbone, tuning: str, size: int) -> None:
        def draw(shape: Shape, generator: torch.Generator) -> nn.Module:
            if tuning == "finetune":
                return copy.deepcopy(backbone).requires_grad_()
            return TUNINGS[tuning](shape, size, generator)

        super().__init__(backbone, CosineHead(backbone.feature_dim), draw)
        self.joined = False

    def tuned(self, x: Tensor) -> Tensor:
        """Features (B, d) of the tuned transformer."""
        (tuned,) = self.sites
        return embed(tuned, x) if isinstance(tuned, Backbone) else self.embed(x, tuned)  # type: ignore[arg-type]

    def features(self, x: Tensor) -> Tensor:
        """Features of the tuned transformer (B, d); once joined, the original's and these (B, 2d)."""
        return torch.cat([self.embed(x), self.tuned(x)], dim=1) if self.joined else self.tuned(x)

    def join(self) -> None:
        """End the tuning: freeze everything, and begin an empty head over both features."""
        device = self.head.weight.device
        self.head = CosineHead(2 * self.backbone.feature_dim).to(device)
        self.joined = True
        freeze(self)
