"""TagFex, Zheng et al. 2025: expandable branches, guided by a network that learns without labels."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from typing import Any, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from cil_core.data.arrays import ArrayDataset
from cil_core.learning.contrast import contrast, info_nce, new_only, transferred
from cil_core.learning.method import Method, RunContext
from cil_core.learning.phase import Batch, Losses, Phase, Step, Task
from cil_core.nets.agnostic import AgnosticBranch, MergeAttention, interpolate
from cil_core.nets.backbones import Backbone
from cil_core.nets.expandable import ExpandableNet, auxiliary_labels
from cil_core.nets.heads import align_new_rows
from cil_core.spec.recipes import TagFexRecipe


class TagFex(Method):
    """DER's loss + (1 − λ) InfoNCE of F_a + 2 λ InfoNCE to the old F_a + CE of merged features + transfer.

    λ = o / n. One task-agnostic network F_a sees all tasks. A new branch attends to it, and where the merged
    features classify new images better than the network does, the branch learns their outputs.

    Paper: every term sees two views of each image; new rows are aligned after training.
    Differs: the views follow the track's augmentation, with AutoAugment and Cutout unless the recipe says
        otherwise. A batch without new images has no merged terms.
    Reports: the linear head; the nearest mean of exemplars beside it; the aligning factor as diagnostic
        `alignment`. F_a, its projector and its predictor are kept, and only training needs them.
    """

    recipe: TagFexRecipe
    net: ExpandableNet
    merger: MergeAttention | None
    compilable = False  # merging reads the last maps

    def __init__(self, recipe: Any, context: RunContext) -> None:
        super().__init__(recipe, context)
        generator = context.randomness.on_cpu("task-agnostic")
        self.agnostic = AgnosticBranch(self.fresh_backbone(-1), generator).to(context.device)
        self.merger = None

    def build(self, backbone: Backbone) -> ExpandableNet:
        """One branch so far."""
        return ExpandableNet(backbone, backbone.feature_dim)

    def grow(self, task: Task) -> None:
        """Add a branch between the last one and F_a; old rows do not see it yet."""
        generator, width = self.init_generator(task), self.net.width
        if task.is_first:
            self.net.grow(task.new, generator)
            return
        branch = copy.deepcopy(self.net.newest)
        interpolate(branch, self.agnostic.backbone, self.recipe.inheritance)
        self.net.expand(branch, task.new, generator, inherit=True)
        if self.recipe.blind_old_rows:
            with torch.no_grad():
                self.net.head.weight[: task.known, -width:] = 0
        self.agnostic.begin(generator)
        self.merger = MergeAttention(width, task.new, generator).to(self.context.device)

    def learn(self, task: Task) -> Iterator[Phase]:
        """One phase over the branch, F_a and the merging."""
        trained = nn.ModuleList(part for part in (self.net, self.agnostic, self.merger) if part is not None)
        phase = self.standard_phase(task)
        self.views = cast("ArrayDataset", phase.data)
        if self.recipe.autoaugment:
            self.views = self.views.augmented_by(*self.views.transform.tokens, "autoaugment", "cutout:16")
        yield self.standard_phase(task, data=self.views, model=trained)

    def losses(self, batch: Batch, step: Step) -> Losses:
        """All terms, over both views."""
        recipe, generator = (
            self.recipe,
            self.context.randomness.on_device("view", step.task.index, step.iteration),
        )
        x = torch.cat([batch.x, self.views.transform.train(batch.raw, generator)])
        agnostic_map = self.agnostic.backbone.maps(x)[-1]
        features = self.agnostic.backbone.pool(agnostic_map)
        alone = info_nce(self.agnostic.project(features), recipe.contrast_temperature)
        if step.task.is_first:
            supervised = F.cross_entropy(self.net(x).logits, batch.y.repeat(2))
            return {"classification": supervised, "contrast": recipe.contrast_weight * alone}
        predicted, before = self.agnostic.recall(features, x)
        recalled = contrast(predicted, before, recipe.contrast_temperature)
        share = step.task.old_share
        return {
            **self.supervised(x, batch.y.repeat(2), agnostic_map, step.task.known),
            "contrast": recipe.contrast_weight * (1 - share) * alone,
            "recall": recipe.contrast_weight * share * recipe.recall_weight * recalled,
        }

    def supervised(self, x: Tensor, labels: Tensor, agnostic_map: Tensor, known: int) -> Losses:
        """Classification by all branches, by the new one, and by merged features; and what they transfer."""
        assert self.merger is not None  # noqa: S101 — it exists from growth to the end of training
        with torch.no_grad():
            frozen = [branch(x) for branch in self.net.extractors[:-1]]
        branch = cast("Backbone", self.net.newest)
        specific = branch.maps(x)[-1]
        features = torch.cat([*frozen, branch.pool(specific)], dim=1)
        logits, merged = self.net.head(features), self.merger(agnostic_map, specific)
        classification = F.cross_entropy(logits, labels)
        auxiliary = F.cross_entropy(self.net.auxiliary_logits(features), auxiliary_labels(labels, known))
        new, place = labels >= known, (labels - known).clamp(min=0)
        merging = new_only(F.cross_entropy(merged, place, reduction="none"), new)
        taught = transferred(logits[:, known:], merged.detach(), self.recipe.transfer_temperature)
        return {
            "classification": classification,
            "auxiliary": self.recipe.auxiliary_weight * auxiliary,
            "merging": merging,
            "transfer": (merging < classification) * new_only(taught, new),
        }

    def consolidate(self, task: Task) -> None:
        """Drop what only training needs, and align the new rows."""
        self.net.auxiliary = self.merger = None
        self.agnostic.end()
        if not task.is_first:
            self.diagnostics["alignment"] = align_new_rows(self.net.head.weight, task.known)


METHOD = TagFex
