"""`LowRankNet`: a transformer with one low-rank update per task, which can be merged into its weights."""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

from torch import Tensor

from cil_core.nets.backbones import Backbone
from cil_core.nets.sited import SitedNet, transformer_of
from cil_core.nets.sites import Layer, LowRank, Sites
from cil_core.nets.sites.low_rank import Target
from cil_core.nets.task_head import TaskHead


class LowRankNet(SitedNet[TaskHead]):
    """All updates act together.

    Args:
        backbone: with the transformer.
        rank: r of an update.
        targets: what is updated.
    """

    def __init__(self, backbone: Backbone, rank: int, targets: Sequence[Target]) -> None:
        super().__init__(
            backbone,
            TaskHead(backbone.feature_dim),
            lambda shape, generator: LowRank(shape, rank, targets),  # noqa: ARG005 - starts at zero
        )

    @property
    def updates(self) -> Sites:
        """All updates that are not merged."""
        return Together([cast("LowRank", update) for update in self.sites])

    def features(self, x: Tensor) -> Tensor:
        """The class token (B, d) of the updated transformer."""
        return self.embed(x, self.updates)

    def merge(self) -> None:
        """Add all updates to the weights of the transformer, and drop them."""
        for update in self.sites:
            cast("LowRank", update).merge_into(transformer_of(self.backbone))
        del self.sites[:]


class Together(Sites):
    """Several updates of the same layers."""

    def __init__(self, updates: Sequence[Sites]) -> None:
        self.updates = updates

    def output(self, layer: Layer, block: int, given: Tensor, made: Tensor) -> Tensor:
        """The output with the terms of all updates."""
        for update in self.updates:
            made = update.output(layer, block, given, made)
        return made
