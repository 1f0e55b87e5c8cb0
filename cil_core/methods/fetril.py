"""FeTrIL, Petit et al. 2023: features of old classes are made from those of new ones by translation."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from cil_core.data.features import FeatureDataset
from cil_core.learning.method import Method, RunContext
from cil_core.learning.phase import Batch, Losses, Phase, Step, Task
from cil_core.learning.prototypes import mean_features, with_translated
from cil_core.nets.backbones import Backbone
from cil_core.nets.heads import LinearHead, UnitLinearHead
from cil_core.nets.incremental import IncrementalNet, freeze
from cil_core.spec.recipes import FeTrILRecipe


class FeTrIL(Method):
    """A frozen extractor after the first task; a linear head on real new and translated old features.

    Paper: the extractor has a long training of its own; donors are the most similar new classes.
    Differs: the linear head of PyCIL, which starts from the last task's; the variant with support vector
        machines is left out. `similarity` is the cosine between means (PyCIL) or their distance (official
        code). With pre-trained weights nothing but the head trains, and that from the first task on.
    Reports: the linear head. One mean feature a class is kept.
    """

    recipe: FeTrILRecipe
    net: IncrementalNet[LinearHead]
    means: Tensor

    def __init__(self, recipe: Any, context: RunContext) -> None:
        super().__init__(recipe, context)
        self.register_buffer("means", torch.zeros(0, self.net.head.weight.shape[1]))

    def build(self, backbone: Backbone) -> IncrementalNet[LinearHead]:
        """A backbone with a linear head, which may scale features to unit norm."""
        head = UnitLinearHead if self.recipe.normalise else LinearHead
        return IncrementalNet(backbone, head(backbone.feature_dim))

    def learn(self, task: Task) -> Iterator[Phase]:
        """The whole network in the first task, unless it is pre-trained; the head alone otherwise."""
        trains_network = task.is_first and self.context.weights is None
        if trains_network:
            card = self.context.dataset
            extra = (
                ("autoaugment", f"cutout:{card.size // 2}") if self.recipe.augmentation == "strong" else ()
            )
            yield self.standard_phase(task, data=task.train.augmented_by(*self.transform.tokens, *extra))
        real = FeatureDataset(self.raw_features(task.train), task.train.labels)
        self.means = torch.cat([self.means, mean_features(real.features, real.labels, task.known, task.seen)])
        freeze(self.net.backbone)
        if not trains_network:
            data = with_translated(real, self.means, task.known, self.recipe.similarity)
            yield Phase("classifier", data, self.head_loss, self.recipe.head, self.net.head)

    def head_loss(self, batch: Batch, step: Step) -> Losses:  # noqa: ARG002 — every loss of a phase takes the step
        """Cross-entropy of the head on features."""
        return {"classification": F.cross_entropy(self.net.head(batch.x), batch.y)}

    def match_structure(self, state: Mapping[str, Tensor]) -> None:
        """After a checkpoint the extractor is frozen."""
        super().match_structure(state)
        freeze(self.net.backbone)


METHOD = FeTrIL
