"""iCaRL, Rebuffi et al. 2017: exemplars, distillation, nearest mean of exemplars."""

from __future__ import annotations

from typing import Any

import torch.nn.functional as F

from cil_core.learning.classifiers import Classifier, NearestMean
from cil_core.learning.losses import distillation, icarl_binary_cross_entropy
from cil_core.learning.method import Method, RunContext
from cil_core.learning.phase import Batch, Losses, Step
from cil_core.spec.recipes.rectification import ICaRLRecipe


class ICaRL(Method):
    """Distils the old outputs on new data and exemplars, and classifies by the nearest mean of exemplars.

    Paper: per-class binary cross-entropy whose old targets are the old network's sigmoids (`loss="bce"`).
    Differs: the default is softmax cross-entropy + distillation, which the field compares as iCaRL. Outputs
        of unseen classes do not exist here; the official code trains them towards 0.
    Reports: nearest mean of exemplars; the linear head beside it.
    """

    recipe: ICaRLRecipe
    keeps_teacher = True

    def __init__(self, recipe: Any, context: RunContext) -> None:
        super().__init__(recipe, context)
        self.selection = self.recipe.selection
        self.plain_first_task = self.recipe.loss == "ce"

    def classifier(self, name: str) -> Classifier:
        """The recipe says whether class means include mirrored exemplars."""
        return NearestMean(flip=self.recipe.nme_flip) if name == "nme" else super().classifier(name)

    def losses(self, batch: Batch, step: Step) -> Losses:
        """One binary term, or cross-entropy and distillation."""
        logits = self.net(batch.x).logits
        teacher = None if self.teacher is None else self.old_logits(batch.x)
        if self.recipe.loss == "bce":
            return {
                "binary": icarl_binary_cross_entropy(logits, batch.y, teacher, sum(self.context.task_sizes))
            }
        losses = {"classification": F.cross_entropy(logits, batch.y)}
        if teacher is not None:
            losses["distillation"] = distillation(
                logits[:, : step.task.known], teacher, self.recipe.temperature
            )
        return losses


METHOD = ICaRL
