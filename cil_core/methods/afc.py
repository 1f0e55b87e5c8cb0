"""AFC (adaptive feature consolidation), Kang et al. 2022: PODNet that distils the channels that matter."""

from __future__ import annotations

from collections.abc import Iterator
from math import sqrt
from typing import Any, cast

import torch
from torch import Tensor
from torch.nn.utils import clip_grad_value_

from cil_core.learning.channel_importance import channel_importance, weighted_channel_distance
from cil_core.learning.losses import neighbourhood_analysis, neighbourhood_analysis_as_coded
from cil_core.learning.method import Method, RunContext
from cil_core.learning.phase import Batch, Losses, Phase, Step, Task
from cil_core.nets.backbones import Backbone
from cil_core.nets.incremental import IncrementalNet, unfrozen
from cil_core.nets.proxies import ProxyHead, proxy_directions
from cil_core.spec.recipes import AFCRecipe


class AFC(Method):
    """L = NCA + 4 √(n / k) · mean of I · ‖â − â_old‖ over channels; then proxies are tuned.

    Paper: I is each channel's squared gradient of the loss, measured after every task, with mean 1 per stage.
    Differs: it is measured in evaluation mode. The track's own stages are distilled, the last one without its
        ReLU.
    Reports: the proxies and the nearest mean of exemplars. I is kept between tasks and counts as memory.
    """

    recipe: AFCRecipe
    net: IncrementalNet[ProxyHead]
    importance: Tensor
    compilable = False  # distillation reads every stage
    keeps_teacher = True

    def __init__(self, recipe: Any, context: RunContext) -> None:
        super().__init__(recipe, context)
        self.register_buffer("importance", torch.zeros(0, device=context.device))

    def build(self, backbone: Backbone) -> IncrementalNet[ProxyHead]:
        """Several proxies per class, compared by distance."""
        return IncrementalNet(backbone, ProxyHead(backbone.feature_dim, self.recipe.proxies, distance=True))

    def grow(self, task: Task) -> None:
        """Random proxies in the first task, imprinted ones later."""
        head, generator = self.net.head, self.init_generator(task)
        if task.is_first:
            head.draw_normal(task.new, generator)
        else:
            labels, features = task.train.labels, self.unit_features(task.train)
            head.imprint(proxy_directions(features, labels, self.recipe.proxies, generator))

    def learn(self, task: Task) -> Iterator[Phase]:
        """All data; then, from the second task on, the proxies alone on a class-balanced set."""
        yield self.standard_phase(task, after_backward=self.clip)
        if not task.is_first:
            head, schedule = self.net.head, self.recipe.balanced
            with unfrozen(head.old):
                yield Phase(
                    "fine-tune",
                    self.preview(task),
                    self.proxy_losses,
                    schedule,
                    self.net,
                    params=[head.old, head.new],
                    after_backward=self.clip,
                )

    def losses(self, batch: Batch, step: Step) -> Losses:
        """Classification, and from the second task on the weighted distance to the old maps."""
        maps = self.net.backbone.maps(batch.x)
        terms = {"classification": self.nca(self.net.backbone.pool(maps[-1]), batch.y)}
        if self.teacher is not None:
            with torch.no_grad():
                old_maps = cast("IncrementalNet[ProxyHead]", self.old_net).backbone.maps(batch.x)
            weight = self.recipe.feature_weight * sqrt(step.task.seen / step.task.new)
            terms["consolidation"] = weight * weighted_channel_distance(maps, old_maps, self.importance)
        return terms

    def proxy_losses(self, batch: Batch, step: Step) -> Losses:  # noqa: ARG002 — the same in every step
        """Classification of constant features."""
        with torch.no_grad():
            constant = self.net.features(batch.x)
        return {"classification": self.nca(constant, batch.y, self.net.head.scale.detach())}

    def nca(self, features: Tensor, labels: Tensor, scale: Tensor | None = None) -> Tensor:
        """The recipe's NCA; with the head's own scale by default."""
        as_coded = self.recipe.nca == "as_coded"
        loss = neighbourhood_analysis_as_coded if as_coded else neighbourhood_analysis
        scale = self.net.head.scale if scale is None else scale
        return loss(self.net.head.similarities(features), labels, scale, self.recipe.margin)

    def clip(self, batch: Batch, step: Step) -> None:  # noqa: ARG002 — a hook
        """Bound every entry of the gradient."""
        bound = self.recipe.clip_gradient
        if bound is not None:
            clip_grad_value_(self.net.parameters(), bound)

    def consolidate(self, task: Task) -> None:
        """Measure the channels on all training images and exemplars."""
        data = task.train + self.memory.data if len(self.memory) else task.train
        size = self.recipe.later_tasks.batch_size
        self.importance = channel_importance(self.net.backbone, data, self.nca, size)


METHOD = AFC
