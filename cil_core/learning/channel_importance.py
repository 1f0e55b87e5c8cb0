"""Which channels matter, and a distance between maps that weighs by it (AFC, Kang et al., CVPR 2022).

Decisions:
    * The gradient is that of each image's own loss, so the batch size has no effect.
    * The network is in evaluation mode and computes in float32, and images are not augmented.
    * The weights of a stage have mean 1. A stage without any gradient weighs all channels alike.
    * The weights of all stages are one flat tensor, in the order of the stages, so that the state dict needs
      no further structure.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from cil_core.data.arrays import ArrayDataset
from cil_core.nets.backbones import Backbone

Objective = Callable[[Tensor, Tensor], Tensor]
"""(Features (B, d), labels (B,)) → the mean loss."""


def channel_importance(
    backbone: Backbone, data: ArrayDataset, objective: Objective, batch_size: int
) -> Tensor:
    """Weights of the channels of all stages: the mean over images of Σ over positions of (∂L/∂Z)².

    Args:
        backbone: measured; its mode and precision are restored.
        data: images to average over.
        objective: L.
        batch_size: images per backward pass.

    Returns:
        (ΣC,), at least 0, with mean 1 in each stage.
    """
    was_training, precision = backbone.training, backbone.precision
    backbone.eval()
    backbone.compute_in(torch.float32)  # in lower precision `maps` returns copies that no later stage reads
    totals: list[Tensor] = []
    for batch in data.batches(batch_size):
        maps = backbone.maps(batch.x)
        loss = objective(backbone.pool(maps[-1]), batch.y) * len(batch)
        energies = [g.square().sum(dim=(0, 2, 3)) for g in torch.autograd.grad(loss, maps)]
        totals = [a + b for a, b in zip(totals, energies, strict=True)] if totals else energies
    backbone.compute_in(precision)
    backbone.train(was_training)
    return torch.cat([mean_one(total / len(data)) for total in totals])


def mean_one(importance: Tensor) -> Tensor:
    """Scaled to mean 1; all ones if the mean is 0."""
    mean = importance.mean()
    return importance / mean if mean else torch.ones_like(importance)


def weighted_channel_distance(
    student: Sequence[Tensor], teacher: Sequence[Tensor], importance: Tensor
) -> Tensor:
    """Mean over stages, images and channels of I · ‖â − â_old‖.

    â is the squared map of a channel, scaled to unit norm over its positions.

    Args:
        student: maps (B, C, H, W), one per stage.
        teacher: the same, constants.
        importance: (ΣC,), see `channel_importance`.
    """
    weights = importance.split([maps.shape[1] for maps in student])
    distances = [
        (weight * (_unit(new) - _unit(old)).norm(dim=2)).mean()
        for new, old, weight in zip(student, teacher, weights, strict=True)
    ]
    return torch.stack(distances).mean()


def _unit(maps: Tensor) -> Tensor:
    return F.normalize(maps.square().flatten(2), dim=2)  # (B, C, H·W)
