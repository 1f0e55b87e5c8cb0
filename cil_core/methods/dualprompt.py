"""DualPrompt, Wang et al. 2022: a general prompt for all tasks, and one expert prompt per task."""

from __future__ import annotations

import torch
import torch.nn.functional as F

from cil_core.learning.method import Method
from cil_core.learning.phase import Batch, Losses, Step, Task
from cil_core.nets.backbones import Backbone
from cil_core.nets.prompts import DualNet
from cil_core.spec.recipes import DualPromptRecipe


class DualPrompt(Method):
    """Trains the general prompt, the task's expert and key, and its rows of the head.

    Paper: L = CE over the new classes − λ cos(q, K_t), with expert t for all images of task t.
    Differs: see the recipe.
    Reports: the linear head; every image finds its expert by the keys of the tasks seen so far.
    """

    recipe: DualPromptRecipe
    net: DualNet

    def build(self, backbone: Backbone) -> DualNet:
        """A transformer with the general prompt."""
        recipe = self.recipe
        return DualNet(
            backbone,
            recipe.general_blocks,
            recipe.expert_blocks,
            recipe.general_length,
            recipe.expert_length,
            self.context.randomness.on_cpu("general prompt"),
        )

    def grow(self, task: Task) -> None:
        """An expert that starts as the last one, with a key of its own, and rows of the head."""
        self.net.add_sites(self.init_generator(task, "prompts"))
        if not task.is_first:
            *_, last, new = self.net.experts
            with torch.no_grad():
                new.prompts.copy_(last.prompts)
        super().grow(task)

    def losses(self, batch: Batch, step: Step) -> Losses:
        """Cross-entropy over the new classes, and the pull of the key towards the queries."""
        similarity = self.net.similarities(self.net.query(batch.x))[:, step.task.index]
        chosen = torch.full_like(batch.y, step.task.index)
        logits = self.net.head.newest(self.net.prompted(batch.x, chosen))
        return {
            "classification": F.cross_entropy(logits, batch.y - step.task.known),
            "key": -self.recipe.pull * similarity.mean(),
        }


METHOD = DualPrompt
