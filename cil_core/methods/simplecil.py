"""SimpleCIL, Zhou et al. 2023: class means of a frozen extractor are the classifier."""

from __future__ import annotations

import torch

from cil_core.data.features import FeatureDataset
from cil_core.learning.frozen import FrozenBackbone
from cil_core.learning.phase import Task
from cil_core.learning.prototypes import mean_features
from cil_core.nets.backbones import Backbone
from cil_core.nets.heads import CosineHead
from cil_core.nets.incremental import IncrementalNet, freeze
from cil_core.spec.recipes import SimpleCILRecipe


class SimpleCIL(FrozenBackbone):
    """Trains extractor and cosine head on the first task; then all rows are mean features of their classes.

    Paper: with a pre-trained extractor nothing is trained at all; so it is on a pretrained track.
    Differs: without one, the extractor is trained on the first task, as PyCIL does.
    Reports: the cosine head. Its rows are all that is kept of old classes.
    """

    recipe: SimpleCILRecipe
    net: IncrementalNet[CosineHead]

    def build(self, backbone: Backbone) -> IncrementalNet[CosineHead]:
        """A backbone with a cosine head."""
        return IncrementalNet(backbone, CosineHead(backbone.feature_dim))

    def absorb(self, task: Task, data: FeatureDataset) -> None:
        """Overwrite the new rows by class means."""
        with torch.no_grad():
            self.net.head.weight[task.known :] = mean_features(
                data.features, data.labels, task.known, task.seen
            )

    def settle(self) -> None:
        """Freeze the whole network: nothing is trained from here on."""
        freeze(self.net)


METHOD = SimpleCIL
