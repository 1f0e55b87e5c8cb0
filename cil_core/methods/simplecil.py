"""SimpleCIL, Zhou et al. 2023: class means of a frozen extractor are the classifier."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import torch
from torch import Tensor

from cil_core.learning.method import Method
from cil_core.learning.phase import Phase, Task
from cil_core.learning.prototypes import mean_features
from cil_core.nets.backbones import Backbone
from cil_core.nets.heads import CosineHead
from cil_core.nets.incremental import IncrementalNet, freeze
from cil_core.spec.recipes import SimpleCILRecipe


class SimpleCIL(Method):
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

    def learn(self, task: Task) -> Iterator[Phase]:
        """The first task's training, unless the extractor is pre-trained; later nothing."""
        if task.is_first and self.context.weights is None:
            yield self.standard_phase(task)

    def consolidate(self, task: Task) -> None:
        """Overwrite the new rows by class means, and freeze everything."""
        means = mean_features(self.raw_features(task.train), task.train.labels, task.known, task.seen)
        with torch.no_grad():
            self.net.head.weight[task.known :] = means
        freeze(self.net)

    def match_structure(self, state: Mapping[str, Tensor]) -> None:
        """After a checkpoint nothing is trained."""
        super().match_structure(state)
        freeze(self.net)


METHOD = SimpleCIL
