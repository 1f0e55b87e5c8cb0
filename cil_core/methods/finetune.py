"""Finetune: each task's own data only. The lower bound."""

from __future__ import annotations

import torch.nn.functional as F

from cil_core.learning.losses import slice_cross_entropy
from cil_core.learning.method import Method
from cil_core.learning.phase import Batch, Losses, Step
from cil_core.spec.recipes.baselines import FinetuneRecipe


class Finetune(Method):
    """Cross-entropy on the new data.

    Reports: the linear head. With `logits="slice"` the loss leaves the rows of old classes alone, and only
        weight decay changes them.
    """

    recipe: FinetuneRecipe
    plain_first_task = True

    def losses(self, batch: Batch, step: Step) -> Losses:
        """Cross-entropy over the new classes, or over all of them."""
        logits = self.net(batch.x).logits
        if self.recipe.logits == "slice":
            return {"classification": slice_cross_entropy(logits, batch.y, step.task.known)}
        return {"classification": F.cross_entropy(logits, batch.y)}


METHOD = Finetune
