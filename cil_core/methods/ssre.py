"""SSRE, Zhu et al. 2022: later tasks train small branches of the network and fold them in; no exemplars."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from cil_core.learning.classifiers import Classifier, FeatureScores
from cil_core.learning.method import Method, RunContext
from cil_core.learning.phase import Batch, Losses, Phase, Step, Task
from cil_core.learning.prototypes import mean_features
from cil_core.learning.selection_weights import like_distillation, likeness, unlike_classification
from cil_core.nets.branches import add_branches, fold_branches
from cil_core.nets.heads import LinearHead
from cil_core.nets.incremental import IncrementalNet, freeze
from cil_core.spec.recipes import SSRERecipe


class SSRE(Method):
    """Images that look like an old prototype are distilled, the others classified; prototypes keep old rows.

    Paper: L = mean (1 − s) CE(z / τ) + λ_kd Σ s ‖f − f_old‖ + λ_p CE(head(prototypes) / τ), s = likeness.
    Differs: batch norm stays, in evaluation mode, behind the branches; s is a constant (`through_weight`).
    Reports: the linear head, then the nearest prototype. A mean feature per class is kept.
    """

    recipe: SSRERecipe
    net: IncrementalNet[LinearHead]
    keeps_teacher = True
    compilable = False
    means: Tensor

    def __init__(self, recipe: Any, context: RunContext) -> None:
        super().__init__(recipe, context)
        self.register_buffer("means", torch.zeros(0, self.net.head.weight.shape[1]))

    def learn(self, task: Task) -> Iterator[Phase]:
        """The whole network first; later its branches and the head."""
        if task.is_first:
            yield self.standard_phase(task)
        else:
            self.net.eval()
            kernels = add_branches(self.net.backbone)
            params = [*kernels, *self.net.head.parameters()]
            yield self.standard_phase(task, model=self.net.head, params=params)
        fold_branches(self.net.backbone)
        freeze(self.net.backbone)

    def losses(self, batch: Batch, step: Step) -> Losses:
        """Classification; from the second task on weighted, with distillation and prototypes."""
        recipe, outputs = self.recipe, self.net(batch.x)
        logits = outputs.logits / recipe.temperature
        if step.task.is_first:
            return {"classification": F.cross_entropy(logits, batch.y)}
        like = likeness(outputs.features, self.means)
        like = like if recipe.through_weight else like.detach()
        generator = self.context.randomness.on_device("prototypes", step.task.index, step.iteration)
        labels = torch.randint(step.task.known, (len(batch),), generator=generator, device=generator.device)
        rehearsed = self.net.head(self.means[labels]) / recipe.temperature
        old = self.old_outputs(batch.x).features
        return {
            "classification": unlike_classification(logits, batch.y, like),
            "distillation": recipe.distillation_weight * like_distillation(outputs.features, old, like),
            "prototypes": recipe.prototype_weight * F.cross_entropy(rehearsed, labels),
        }

    def consolidate(self, task: Task) -> None:
        """Keep the mean features of the new classes; old ones do not move."""
        features, labels = self.raw_features(task.train), task.train.labels
        new = mean_features(features, labels, task.known, task.seen)
        self.means = torch.cat([self.means, new])

    def classifier(self, name: str) -> Classifier:
        """The head, or the nearest prototype by angle."""
        return FeatureScores(name, self.nearest) if name == "prototype" else super().classifier(name)

    def nearest(self) -> Callable[[Tensor], Tensor]:
        """f · μ̂_c with unit prototypes."""
        unit = F.normalize(self.means, dim=1)
        return lambda features: features @ unit.T

    def match_structure(self, state: Mapping[str, Tensor]) -> None:
        """After a checkpoint, the folded backbone is frozen."""
        super().match_structure(state)
        freeze(self.net.backbone)


METHOD = SSRE
