"""CODA-Prompt, Smith et al. 2023: prompts are sums of components, weighted by attention."""

from __future__ import annotations

import torch.nn.functional as F

from cil_core.learning.method import Method
from cil_core.learning.phase import Batch, Losses, Step, Task
from cil_core.nets.backbones import Backbone
from cil_core.nets.prompts import CodaNet
from cil_core.spec.recipes import CODAPromptRecipe


class CODAPrompt(Method):
    """Every task trains components of its own and its rows of the head; all else rests.

    Paper: L = CE over the new classes; the penalty on non-orthogonal components has weight 0 in every
        published configuration and is left out.
    Differs: see the recipe.
    Reports: the linear head, with prompts chosen per image.
    """

    recipe: CODAPromptRecipe
    net: CodaNet

    def build(self, backbone: Backbone) -> CodaNet:
        """A transformer that all tasks together may give `components` components."""
        recipe = self.recipe
        return CodaNet(
            backbone, recipe.blocks, recipe.components // len(self.context.task_sizes), recipe.length
        )

    def grow(self, task: Task) -> None:
        """Components orthogonal to all earlier ones, and rows of the head."""
        self.net.add_sites(self.init_generator(task, "prompts"))
        super().grow(task)

    def losses(self, batch: Batch, step: Step) -> Losses:
        """Cross-entropy over the new classes."""
        logits = self.net.head.newest(self.net.features(batch.x))
        return {"classification": F.cross_entropy(logits, batch.y - step.task.known)}


METHOD = CODAPrompt
