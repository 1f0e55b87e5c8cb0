"""`feature_pairs`: features of the same images under an old and a new network.

Decisions:
    * One pass in the order of the data, in evaluation mode and without augmentation. Row i of both tensors
      therefore belongs to image i. Two passes over a shuffled or augmented loader would pair different images
      and measure a drift that does not exist.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from cil_core.data.arrays import ArrayDataset
from cil_core.learning.method import EVALUATION_BATCH
from cil_core.nets.incremental import Net


class FeaturePairs(NamedTuple):
    """Features (N, d) of N images under two networks; row i of both belongs to image i."""

    old: Tensor
    new: Tensor

    def unit(self) -> FeaturePairs:
        """Both features scaled to unit norm."""
        return FeaturePairs(F.normalize(self.old, dim=1), F.normalize(self.new, dim=1))


@torch.no_grad()
def feature_pairs(old_net: Net, net: Net, data: ArrayDataset) -> FeaturePairs:
    """Features of `data` under both networks, in its order; the networks keep their modes."""
    modes = [(each, each.training) for each in (old_net, net)]
    old_net.eval()
    net.eval()
    found = [(old_net.features(batch.x), net.features(batch.x)) for batch in data.batches(EVALUATION_BATCH)]
    for each, was_training in modes:
        each.train(was_training)
    old, new = zip(*found, strict=True)
    return FeaturePairs(torch.cat(old), torch.cat(new))
