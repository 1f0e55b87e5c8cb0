"""DER-WA: DER as in PyCIL and the survey, with weight aligning instead of pruning and classifier learning."""

from __future__ import annotations

import copy

import torch.nn.functional as F

from cil_core.learning.method import Method
from cil_core.learning.phase import Batch, Losses, Step, Task
from cil_core.nets.backbones import Backbone
from cil_core.nets.expandable import ExpandableNet, auxiliary_labels
from cil_core.nets.heads import align_new_rows
from cil_core.spec.recipes.expansion import DERWARecipe


class DERWA(Method):
    """L = CE + λ_a · CE_aux on new data and exemplars; then new rows are aligned to the norm of the old ones.

    Paper: none; the published method is `der`.
    Reports: the linear head; the nearest mean of exemplars beside it; the aligning factor as diagnostic
        `alignment`.
    """

    recipe: DERWARecipe
    net: ExpandableNet

    def build(self, backbone: Backbone) -> ExpandableNet:
        """One extractor so far."""
        return ExpandableNet(backbone, backbone.feature_dim)

    def grow(self, task: Task) -> None:
        """A copy of the last extractor joins from the second task on."""
        generator = self.init_generator(task)
        if task.is_first:
            return self.net.grow(task.new, generator)
        return self.net.expand(copy.deepcopy(self.net.newest), task.new, generator, inherit=True)

    def losses(self, batch: Batch, step: Step) -> Losses:
        """Classification, and from the second task on the auxiliary term."""
        logits, features = self.net(batch.x)
        terms = {"classification": F.cross_entropy(logits, batch.y)}
        if not step.task.is_first:
            labels = auxiliary_labels(batch.y, step.task.known)
            terms["auxiliary"] = self.recipe.auxiliary_weight * F.cross_entropy(
                self.net.auxiliary_logits(features), labels
            )
        return terms

    def consolidate(self, task: Task) -> None:
        """Drop the auxiliary head and align the new rows."""
        self.net.auxiliary = None
        if not task.is_first:
            self.diagnostics["alignment"] = align_new_rows(self.net.head.weight, task.known)


METHOD = DERWA
