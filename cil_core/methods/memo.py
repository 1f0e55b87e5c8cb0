"""MEMO (memory-efficient expandable model), Zhou et al. 2023: a shared trunk, one last stage per task."""

from __future__ import annotations

import copy

import torch.nn.functional as F

from cil_core.learning.method import Method
from cil_core.learning.phase import Batch, Losses, Step, Task
from cil_core.nets.backbones import Backbone
from cil_core.nets.expandable import ExpandableNet, auxiliary_labels
from cil_core.nets.heads import align_new_rows
from cil_core.nets.incremental import freeze
from cil_core.spec.recipes.expansion import MEMORecipe


class MEMO(Method):
    """A new specialised block per task, a copy of the one before; CE, auxiliary CE, weight aligning.

    Paper: the trunk keeps training (`train_trunk`), so that the inputs of frozen blocks drift; or it is fixed
        after the first task.
    Differs: the split is the backbone's: everything but its last stage is shared.
    Reports: the linear head; the nearest mean of exemplars beside it; the aligning factor as diagnostic
        `alignment`.
    """

    recipe: MEMORecipe
    net: ExpandableNet
    compilable = False  # a trunk and last stages, no whole backbones

    def build(self, backbone: Backbone) -> ExpandableNet:
        """The trunk and the first block."""
        return ExpandableNet(backbone.specialised, backbone.feature_dim, trunk=backbone.trunk)

    def grow(self, task: Task) -> None:
        """From the second task on one block more."""
        if task.is_first:
            super().grow(task)
            return
        if not self.recipe.train_trunk:
            freeze(self.net.trunk)
        self.net.expand(copy.deepcopy(self.net.newest), task.new, self.init_generator(task), inherit=True)

    def losses(self, batch: Batch, step: Step) -> Losses:
        """Classification; from the second task on also the auxiliary classification of the newest block."""
        outputs = self.net(batch.x)
        classification = F.cross_entropy(outputs.logits, batch.y)
        if step.task.is_first:
            return {"classification": classification}
        guesses = self.net.auxiliary_logits(outputs.features)
        auxiliary = F.cross_entropy(guesses, auxiliary_labels(batch.y, step.task.known))
        return {"classification": classification, "auxiliary": self.recipe.auxiliary_weight * auxiliary}

    def consolidate(self, task: Task) -> None:
        """The auxiliary head has done its work; later heads are aligned."""
        self.net.auxiliary = None
        if task.is_first:
            return
        self.diagnostics["alignment"] = align_new_rows(self.net.head.weight, task.known)


METHOD = MEMO
