"""`SlowNet`: a transformer of which low-rank updates, norms, biases and the class token train (SLCA++)."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from cil_core.nets.backbones import Backbone
from cil_core.nets.incremental import Outputs
from cil_core.nets.sited import SitedNet, transformer_of
from cil_core.nets.sites import LowRank, Shape
from cil_core.nets.sites.low_rank import Target, layer_of
from cil_core.nets.task_head import TaskHead

SCALE = 0.8
TARGETS: tuple[Target, ...] = ("qkv", "fc1", "fc2")


class SlowNet(SitedNet[TaskHead]):
    """One update for all tasks, and a head whose layers may read enlarged features.

    Args:
        backbone: with the transformer.
        rank: r of the update; its down-projections start as the first right singular vectors of the weights.

    Attributes:
        scales: what features are multiplied with for each task's layer of the head (tasks,).
    """

    scales: Tensor

    def __init__(self, backbone: Backbone, rank: int) -> None:
        def draw(shape: Shape, generator: torch.Generator) -> LowRank:  # noqa: ARG001 - nothing is random
            return self._update(LowRank(shape, rank, TARGETS, SCALE))

        super().__init__(backbone, TaskHead(backbone.feature_dim, start="normal"), draw)
        self.register_buffer("scales", torch.ones(0))
        self._unfreeze()

    def features(self, x: Tensor) -> Tensor:
        """The class token (B, d) of the updated transformer."""
        return self.embed(x, self.sites[0])  # type: ignore[arg-type]

    def forward(self, x: Tensor) -> Outputs:
        """Logits of scaled features, and the features."""
        features = self.features(x)
        return Outputs(self.head.scaled(features, self.scales), features)

    def _unfreeze(self) -> None:
        """Let norms, biases and the class token train."""
        vit = transformer_of(self.backbone)
        vit.cls_token.requires_grad_(True)
        for module in vit.modules():
            if isinstance(module, nn.LayerNorm):
                module.requires_grad_(True)
            elif getattr(module, "bias", None) is not None:
                module.bias.requires_grad_(True)

    @torch.no_grad()
    def _update(self, update: LowRank) -> LowRank:
        for index, block in enumerate(transformer_of(self.backbone).blocks):
            for target in TARGETS:
                rows = torch.linalg.svd(layer_of(block, target).weight.detach().cpu(), full_matrices=False).Vh
                update.down[target][index] = rows[: update.down[target].shape[1]]
        return update
