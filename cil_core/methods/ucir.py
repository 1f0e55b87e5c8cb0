"""UCIR (LUCIR), Hou et al. 2019: cosine classifier, feature distillation, margin between old and new."""

from __future__ import annotations

from math import sqrt
from typing import Any

import torch.nn.functional as F

from cil_core.learning.classifiers import Classifier, NearestMean, unit_means
from cil_core.learning.losses import feature_distillation, margin_ranking
from cil_core.learning.method import Method, RunContext
from cil_core.learning.phase import Batch, Losses, Step, Task
from cil_core.nets.backbones import Backbone
from cil_core.nets.incremental import IncrementalNet
from cil_core.nets.proxies import ProxyHead
from cil_core.spec.recipes.cosine import UCIRRecipe


class UCIR(Method):
    """L = CE(s · cos) + 5 √(o / k) · (1 − cos(f, f_old)) + margin of old exemplars against two new classes.

    Paper: new rows are imprinted with the mean directions of their classes, old rows stay frozen.
    Differs: without the class-balanced fine-tuning that the official code runs on ImageNet only.
    Reports: the cosine head; the nearest mean of exemplars beside it.
    """

    recipe: UCIRRecipe
    net: IncrementalNet[ProxyHead]
    keeps_teacher = True

    def __init__(self, recipe: Any, context: RunContext) -> None:
        super().__init__(recipe, context)
        self.selection = self.recipe.selection

    def classifier(self, name: str) -> Classifier:
        """The recipe says whether class means include mirrored exemplars."""
        return NearestMean(flip=self.recipe.nme_flip) if name == "nme" else super().classifier(name)

    def build(self, backbone: Backbone) -> IncrementalNet[ProxyHead]:
        """A cosine head: one proxy per class."""
        return IncrementalNet(backbone, ProxyHead(backbone.feature_dim))

    def grow(self, task: Task) -> None:
        """Fresh rows in the first task, imprinted ones later."""
        if task.is_first:
            super().grow(task)
        else:
            self.net.head.imprint(
                unit_means(self.unit_features(task.train), task.train.labels - task.known, task.new)
            )

    def losses(self, batch: Batch, step: Step) -> Losses:
        """Classification; from the second task on distillation of features and the margin term."""
        task, head, features = step.task, self.net.head, self.net.features(batch.x)
        similarities = head.similarities(features)
        losses = {"classification": F.cross_entropy(head.scale * similarities, batch.y)}
        if self.teacher is not None:
            weight = self.recipe.distillation_weight * sqrt(task.known / task.new)
            losses["distillation"] = weight * feature_distillation(
                features, self.old_outputs(batch.x).features
            )
            margin = margin_ranking(
                similarities, batch.y, task.known, self.recipe.margin, self.recipe.hardest
            )
            losses["margin"] = self.recipe.ranking_weight * margin
        return losses


METHOD = UCIR
