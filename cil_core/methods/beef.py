"""BEEF in its isolated form, Wang et al. 2023: branches trained alone as energy models, then fused."""

from __future__ import annotations

import copy
from collections.abc import Iterator

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from cil_core.learning.langevin import negative_cross_entropy, negatives
from cil_core.learning.method import Method
from cil_core.learning.phase import Batch, Losses, Phase, Step, Task
from cil_core.nets.backbones import Backbone
from cil_core.nets.expandable import ExpandableNet
from cil_core.nets.fusion import FusionHeads, task_labels
from cil_core.nets.incremental import freeze
from cil_core.spec.recipes import BEEFRecipe


class BEEF(Method):
    """Expansion: CE over old tasks and new classes + w · CE of negatives. Fusion: CE, by scales and shifts.

    Paper: old tasks compete as one class each; negatives are found by Langevin dynamics.
    Differs: biases of old classes are kept while training and testing; public codes drop them (preset
        `pycil`). Frozen branches stay in evaluation mode, and the removed column is each image's own. The
        compressed form was never released.
    Reports: the fused linear head; the nearest mean of exemplars beside it.
    """

    recipe: BEEFRecipe
    net: ExpandableNet
    heads: FusionHeads | None
    compilable = False  # negatives need gradients of images

    def build(self, backbone: Backbone) -> ExpandableNet:
        """One branch so far, and no heads in training."""
        self.heads = None
        return ExpandableNet(backbone, backbone.feature_dim)

    def grow(self, task: Task) -> None:
        """Add a copy of the first branch and the task's heads."""
        generator = self.init_generator(task)
        if task.is_first:
            self.net.grow(task.new, generator)
        else:
            self.net.expand(copy.deepcopy(self.net.extractors[0]), task.new, generator, inherit=True)
            self.net.auxiliary = None
        self.heads = FusionHeads(self.net.width, task.bounds, generator).to(self.context.device)

    def learn(self, task: Task) -> Iterator[Phase]:
        """Expansion of the new branch alone; then, from the second task on, fusion on balanced data."""
        heads = self.trained_heads
        expanding = [self.net.newest, heads.new, heads.backward_prototypes, heads.forward_prototypes]
        yield self.standard_phase(
            task,
            name="expand",
            model=nn.ModuleList([self.net, heads]),
            params=[parameter for part in expanding for parameter in part.parameters()],
        )
        if not task.is_first:
            freeze(self.net.newest)
            balanced = (task.train + self.memory.data).balanced(self.init_generator(task, "fusion"))
            scales, schedule = [heads.scale, heads.shift], self.recipe.fusion
            yield Phase("fuse", balanced, self.fusion_losses, schedule, heads, params=scales)

    def losses(self, batch: Batch, step: Step) -> Losses:
        """Expansion: classification with old columns aligned, and negatives."""
        heads, tasks = self.trained_heads, step.task.index
        own = task_labels(batch.y, step.task.bounds)
        logits = heads.expansion(self.net.newest(batch.x))
        aligned = torch.cat([logits[:, :tasks] / self.recipe.alignment, logits[:, tasks:]], dim=1)
        losses = {"classification": F.cross_entropy(aligned, own)}
        if self.recipe.energy_weight:
            unified = heads.unified(self.net.newest(self.negatives(batch.x, step)))
            energy = negative_cross_entropy(unified, own, tasks + step.task.new + batch.y)
            losses["energy"] = self.recipe.energy_weight * energy
        return losses

    def negatives(self, x: Tensor, step: Step) -> Tensor:
        """Negatives of these images under the branch in evaluation mode."""
        recipe, branch, heads = self.recipe, self.net.newest, self.trained_heads
        generator = self.context.randomness.on_device("langevin", step.task.index, step.iteration)

        def energy(images: Tensor) -> Tensor:
            return heads.unified(branch(images)).softmax(dim=1)[:, -step.task.seen :].sum().log()

        branch.eval()
        found = negatives(x, energy, generator, steps=recipe.steps, rate=recipe.rate, noise=recipe.noise)
        branch.train()
        return found

    def fusion_losses(self, batch: Batch, step: Step) -> Losses:
        """Fusion: classification over all classes; every weight but scales and shifts is a constant."""
        known, width, head = step.task.known, self.net.width, self.net.head
        with torch.no_grad():
            features = self.net.features(batch.x)
        old_bias = head.bias[:known].detach() if self.recipe.old_bias and head.bias is not None else None
        old_logits = F.linear(features[:, :-width], head.weight[:known, :-width].detach(), old_bias)
        logits = self.trained_heads.fused(old_logits, features[:, -width:])
        return {"classification": F.cross_entropy(logits, batch.y)}

    @property
    def trained_heads(self) -> FusionHeads:
        """The heads of the task in training."""
        assert self.heads is not None  # noqa: S101 — they exist from growth to the end of training
        return self.heads

    def consolidate(self, task: Task) -> None:  # noqa: ARG002 — the heads know their task
        """Write the fused function into one head."""
        self.trained_heads.fuse(self.net.head, old_bias=self.recipe.old_bias)
        self.heads = None


METHOD = BEEF
