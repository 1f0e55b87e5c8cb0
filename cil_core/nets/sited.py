"""`SitedNet`: a frozen vision transformer, a method's additions to it, and a head."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Generic

import torch
from torch import Tensor, nn

from cil_core.nets.backbones import Backbone
from cil_core.nets.incremental import H, Net, Outputs, freeze
from cil_core.nets.sites import PLAIN, Adapters, Shape, Sites, walk

Draw = Callable[[Shape, torch.Generator], nn.Module]
"""(Sizes of the network, CPU generator) → the additions of one task."""


class SitedNet(Net, Generic[H]):
    """A frozen transformer with additions, one module per task that brings some.

    Args:
        backbone: with the transformer; frozen here.
        head: grows with the classes.
        draw: makes the additions of a task.

    Attributes:
        sites: the additions; those of earlier tasks rest.
    """

    def __init__(self, backbone: Backbone, head: H, draw: Draw) -> None:
        super().__init__()
        self.backbone = backbone
        freeze(backbone)
        self.shape = Shape.of(transformer_of(backbone))
        self.sites = nn.ModuleList()
        self.head = head
        self._draw = draw

    def embed(self, x: Tensor, sites: Sites = PLAIN) -> Tensor:
        """Features (B, d) with the given additions, in float32."""
        return embed(self.backbone, x, sites)

    def query(self, x: Tensor) -> Tensor:
        """Features (B, d) of the network without additions, as constants."""
        with torch.no_grad():
            return self.embed(x)

    def features(self, x: Tensor) -> Tensor:
        """Features (B, d)."""
        return self.embed(x)

    def forward(self, x: Tensor) -> Outputs:
        """Logits and features."""
        features = self.features(x)
        return Outputs(self.head(features), features)

    def grow(self, new: int, generator: torch.Generator) -> None:
        """Add `new` rows to the head."""
        self.head.grow(new, generator)

    def add_sites(self, generator: torch.Generator) -> Any:
        """Freeze all additions and draw those of a new task."""
        freeze(self.sites)
        device = next(self.backbone.parameters()).device
        self.sites.append(self._draw(self.shape, generator).to(device))
        return self.sites[-1]

    def drop_with(self, generator: torch.Generator) -> None:
        """Draw the dropout masks of all adapters from `generator`."""
        for module in self.modules():
            if isinstance(module, Adapters):
                module.dropout = generator

    @property
    def classes(self) -> int:
        """Rows of the head."""
        return self.head.classes

    def backbone_parameters(self) -> int:
        """Number of parameters of the transformer and of all additions."""
        return sum(
            parameter.numel() for part in (self.backbone, self.sites) for parameter in part.parameters()
        )

    def train(self, mode: bool = True) -> SitedNet[H]:
        """Enter training or evaluation mode; frozen parts stay in evaluation mode."""
        super().train(mode)
        for part in (self.backbone, *self.sites):
            if not any(parameter.requires_grad for parameter in part.parameters()):
                part.eval()
        return self

    def match_structure(self, state: Mapping[str, Tensor]) -> None:
        """Create the additions that `state` has weights for."""
        saved = {int(name.split(".")[1]) for name in state if name.startswith("sites.")}
        for _ in range(len(saved) - len(self.sites)):
            self.add_sites(torch.Generator())


def transformer_of(backbone: Backbone) -> Any:
    """timm's network inside a backbone.

    Raises:
        ValueError: if the backbone is no vision transformer of timm.
    """
    found = getattr(backbone, "network", None)
    if not hasattr(found, "blocks"):
        raise ValueError("methods with sites need a vision transformer of timm as their backbone")
    return found


def embed(backbone: Backbone, x: Tensor, sites: Sites = PLAIN) -> Tensor:
    """Features (B, d) of a backbone's transformer with additions, in float32."""
    precision = backbone.precision
    with torch.autocast(x.device.type, precision, enabled=precision is not torch.float32):
        return walk(transformer_of(backbone), x, sites).float()
