"""PODNet, Douillard et al. 2020: pooled statistics of every stage are distilled, and every class has several proxies."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from math import sqrt
from typing import cast

import torch
from torch import Tensor
from torch.nn.utils import clip_grad_value_

from cil_core.learning.losses import (
    feature_distillation,
    neighbourhood_analysis,
    neighbourhood_analysis_as_coded,
    pooled_distance,
)
from cil_core.learning.method import Method
from cil_core.learning.phase import Batch, Losses, Phase, Step, Task
from cil_core.nets.backbones import Backbone
from cil_core.nets.incremental import IncrementalNet
from cil_core.nets.proxies import ProxyHead, proxy_directions
from cil_core.spec.recipes.rectification import PODNetRecipe


class PODNet(Method):
    """L = NCA + √(n / k) · (3 · POD-spatial + POD-flat); then a fine-tuning on as many exemplars of new classes as of old ones.

    Paper: the margin of NCA acts on the right class alone (`nca="as_stated"`). New proxies are imprinted by k-means, old ones stay frozen.
    Differs: the default NCA is that of both public codes, where the margin has no effect. Distils the track's own stages, the last one without
        its ReLU; the official network has a fourth block. The balanced set holds the exemplars that the new quota allows.
    Reports: the proxies; the nearest mean of exemplars beside them.
    """

    recipe: PODNetRecipe
    net: IncrementalNet[ProxyHead]
    teacher: IncrementalNet[ProxyHead] | None
    compilable = False  # it looks at every stage
    keeps_teacher = True

    def build(self, backbone: Backbone) -> IncrementalNet[ProxyHead]:
        """A cosine head with several proxies a class."""
        return IncrementalNet(backbone, ProxyHead(backbone.feature_dim, self.recipe.proxies))

    def grow(self, task: Task) -> None:
        """Fresh proxies in the first task, imprinted ones later."""
        if task.is_first:
            super().grow(task)
            return
        features = self.unit_features(task.train)
        self.net.head.imprint(
            proxy_directions(features, task.train.labels, self.recipe.proxies, self.init_generator(task))
        )

    def learn(self, task: Task) -> Iterator[Phase]:
        """All data; then, from the second task on, a class-balanced set."""
        yield self.standard_phase(task, after_backward=self.clip_gradient)
        if task.is_first:
            return
        balanced = self.standard_phase(
            task,
            name="fine-tune",
            data=self.preview(task),
            schedule=self.recipe.balanced,
            after_backward=self.clip_gradient,
        )
        yield (
            balanced
            if self.recipe.finetune == "all"
            else replace(balanced, loss=self.proxy_losses, model=self.net.head)
        )

    def losses(self, batch: Batch, step: Step) -> Losses:
        """Classification, and from the second task on distillation of maps and features."""
        backbone = self.net.backbone
        maps = backbone.maps(batch.x)
        features = backbone.pool(maps[-1])
        losses = {"classification": self.classification(features, batch.y)}
        if self.teacher is not None:
            factor = sqrt(step.task.seen / step.task.new)
            with torch.no_grad():
                old_maps = cast("IncrementalNet[ProxyHead]", self.old_net).backbone.maps(batch.x)
            losses["spatial"] = factor * self.recipe.spatial_weight * pooled_distance(maps, old_maps)
            losses["flat"] = (
                factor * self.recipe.flat_weight * feature_distillation(features, backbone.pool(old_maps[-1]))
            )
        return losses

    def proxy_losses(self, batch: Batch, step: Step) -> Losses:  # noqa: ARG002 — the same in every step
        """Classification alone, with the extractor at rest."""
        with torch.no_grad():
            features = self.net.features(batch.x)
        return {"classification": self.classification(features, batch.y)}

    def classification(self, features: Tensor, labels: Tensor) -> Tensor:
        """The recipe's NCA."""
        nca = neighbourhood_analysis if self.recipe.nca == "as_stated" else neighbourhood_analysis_as_coded
        return nca(self.net.head.similarities(features), labels, self.net.head.scale, self.recipe.margin)

    def clip_gradient(self, batch: Batch, step: Step) -> None:  # noqa: ARG002 — a hook
        """Limit every entry of the gradient."""
        if self.recipe.clip_gradient is not None:
            clip_grad_value_(self.net.parameters(), self.recipe.clip_gradient)


METHOD = PODNet
