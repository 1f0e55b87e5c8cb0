"""Replay with label smoothing."""

from __future__ import annotations

import torch.nn.functional as F

from cil_core.learning.method import Method
from cil_core.learning.phase import Batch, Losses, Step
from cil_core.spec.recipes.smooth import SmoothReplayRecipe


class SmoothReplay(Method):
    """Cross-entropy with smoothed targets over all seen classes, on new data and exemplars."""

    recipe: SmoothReplayRecipe

    def losses(self, batch: Batch, step: Step) -> Losses:  # noqa: ARG002 - the loss is the same in every task
        """The one term of the standard phase."""
        logits = self.net(batch.x).logits  # (B, seen)
        return {"classification": F.cross_entropy(logits, batch.y, label_smoothing=self.recipe.smoothing)}


METHOD = SmoothReplay
