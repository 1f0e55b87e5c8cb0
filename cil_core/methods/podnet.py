"""PODNet, Douillard et al. 2020: distilled pooled statistics of every stage, several proxies per class."""

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
from cil_core.nets.incremental import IncrementalNet, unfrozen
from cil_core.nets.proxies import ProxyHead, proxy_directions
from cil_core.spec.recipes.cosine import PODNetRecipe


class PODNet(Method):
    """L = NCA + √(n / k) · (3 · POD-spatial + POD-flat); then fine-tuning on a class-balanced set.

    Paper: the margin of NCA acts on the right class alone (`nca="as_stated"`). k-means imprints new proxies;
        old ones stay frozen until the fine-tuning.
    Differs: the default NCA is that of both public codes, where the margin has no effect. The track's own
        stages are distilled, the last one without its ReLU; the official network has a fourth block.
    Reports: the proxies and the nearest mean of exemplars.
    """

    recipe: PODNetRecipe
    net: IncrementalNet[ProxyHead]
    teacher: IncrementalNet[ProxyHead] | None
    compilable = False  # distillation reads every stage
    keeps_teacher = True

    def build(self, backbone: Backbone) -> IncrementalNet[ProxyHead]:
        """A cosine head with several proxies a class."""
        distance = self.recipe.similarity == "distance"
        return IncrementalNet(
            backbone, ProxyHead(backbone.feature_dim, self.recipe.proxies, distance=distance)
        )

    def grow(self, task: Task) -> None:
        """Random proxies in the first task; later imprinted ones, or random ones as the recipe says."""
        generator = self.init_generator(task)
        if self.recipe.new_proxies == "random":
            self.net.head.grow(task.new, generator)  # uniform, as PyCIL
            return
        if task.is_first:  # normal, as the official code
            self.net.head.draw_normal(task.new, generator)
            return
        features = self.unit_features(task.train)
        self.net.head.imprint(proxy_directions(features, task.train.labels, self.recipe.proxies, generator))

    def learn(self, task: Task) -> Iterator[Phase]:
        """All data; then, from the second task on, a class-balanced set."""
        yield self.standard_phase(task, after_backward=self.clip_gradient)
        if task.is_first:
            return
        balanced = self.standard_phase(
            task,
            name="fine-tune",
            data=self.preview(task, task.known if self.recipe.balanced_quota == "known" else None),
            schedule=self.recipe.balanced,
            after_backward=self.clip_gradient,
        )
        head = self.net.head
        match self.recipe.finetune:
            case "all":
                yield balanced
            case "classifier":
                yield replace(balanced, loss=self.proxy_losses, model=head)
            case "proxies":
                with unfrozen(head.old):
                    yield replace(balanced, loss=self.proxy_losses, params=[head.old, head.new])

    def losses(self, batch: Batch, step: Step) -> Losses:
        """Classification, and from the second task on distillation of maps and features."""
        backbone = self.net.backbone
        maps = backbone.maps(batch.x)
        features = backbone.pool(maps[-1])
        losses = {"classification": self.classification(features, batch.y, self.net.head.scale)}
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
        """Classification alone, with a constant extractor."""
        with torch.no_grad():
            features = self.net.features(batch.x)
        scale = self.net.head.scale
        return {
            "classification": self.classification(
                features, batch.y, scale.detach() if self.recipe.finetune == "proxies" else scale
            )
        }

    def classification(self, features: Tensor, labels: Tensor, scale: Tensor) -> Tensor:
        """The recipe's NCA."""
        nca = neighbourhood_analysis if self.recipe.nca == "as_stated" else neighbourhood_analysis_as_coded
        return nca(self.net.head.similarities(features), labels, scale, self.recipe.margin)

    def clip_gradient(self, batch: Batch, step: Step) -> None:  # noqa: ARG002 — a hook
        """Limit every entry of the gradient."""
        if self.recipe.clip_gradient is not None:
            clip_grad_value_(self.net.parameters(), self.recipe.clip_gradient)


METHOD = PODNet
