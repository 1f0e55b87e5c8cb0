"""LwF, Li and Hoiem 2016: keep the old network's responses on new images."""

from __future__ import annotations

from cil_core.learning.losses import distillation, l2_distance, slice_cross_entropy
from cil_core.learning.method import Method
from cil_core.learning.phase import Batch, Losses, Step
from cil_core.spec.recipes.regularisation import LwFRecipe


class LwF(Method):
    """L = CE over the new classes + λ · KD_T over the old ones, on the new data only.

    Paper: λ = 1 and a warm-up that trains the new head rows first.
    Differs: λ = 3 (PyCIL), no warm-up; an optional L2-SP term pulls parameters towards the old network's.
    Reports: the linear head.
    """

    recipe: LwFRecipe
    keeps_teacher = True
    plain_first_task = True

    def losses(self, batch: Batch, step: Step) -> Losses:
        """Classification, and from the second task on distillation."""
        known = step.task.known
        logits = self.net(batch.x).logits
        losses = {"classification": slice_cross_entropy(logits, batch.y, known)}
        if self.teacher is not None:
            losses["distillation"] = self.recipe.distillation_weight * distillation(
                logits[:, :known], self.old_logits(batch.x), self.recipe.temperature
            )
            if self.recipe.l2_sp:
                losses["l2_sp"] = self.recipe.l2_sp * l2_distance(self.net, self.teacher)
        return losses


METHOD = LwF
