"""InfLoRA, Liang and Li 2024: low-rank updates that cannot disturb what old inputs produce."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from cil_core.learning.method import Method, RunContext
from cil_core.learning.phase import Batch, Losses, Step, Task
from cil_core.nets.backbones import Backbone
from cil_core.nets.input_memory import InputMemory, InputMoments
from cil_core.nets.low_rank_net import LowRankNet
from cil_core.nets.sites import Sites
from cil_core.spec.recipes import InfLoRARecipe


class InfLoRA(Method):
    """Keys and values of all blocks learn W + U V; V is fixed to directions that old inputs do not have.

    Paper: L = CE over the new classes; only U and the task's rows of the head train.
    Differs: see the recipe.
    Reports: the linear head; updates are merged into the weights after every task.
    """

    recipe: InfLoRARecipe
    net: LowRankNet

    def __init__(self, recipe: Any, context: RunContext) -> None:
        super().__init__(recipe, context)
        self.inputs = InputMemory(self.net.shape.blocks, self.net.shape.width)

    def build(self, backbone: Backbone) -> LowRankNet:
        """A transformer without updates."""
        return LowRankNet(backbone, self.recipe.rank, ("k", "v"))

    def grow(self, task: Task) -> None:
        """Updates in free directions of the new inputs, and rows of the head."""
        moments = self.moments(task, self.net.updates, "before")
        update = self.net.add_sites(self.init_generator(task, "sites"))
        for block, moment in moments.items():
            rows = self.inputs.directions(block, moment, self.recipe.rank)
            if not bool(rows.any()):
                raise self.recipe.refuse(
                    f"old inputs take all directions of block {block} in task {task.index + 1}; "
                    "a smaller energy leaves some free",
                    "method",
                    "energy",
                )
            for target in ("k", "v"):
                update.down[target].data[block] = rows
        update.down.requires_grad_(False)
        super().grow(task)

    def losses(self, batch: Batch, step: Step) -> Losses:
        """Cross-entropy over the new classes."""
        logits = self.net.head.newest(self.net.features(batch.x))
        return {"classification": F.cross_entropy(logits, batch.y - step.task.known)}

    def consolidate(self, task: Task) -> None:
        """Remember the task's inputs, and merge its updates."""
        share = task.index / len(self.context.task_sizes)
        threshold = self.recipe.energy + (1 - self.recipe.energy) * share
        for block, moment in self.moments(task, self.net.updates, "after").items():
            self.inputs.update(block, moment, threshold)
        if self.recipe.merged:
            self.net.merge()

    @torch.no_grad()
    def moments(self, task: Task, sites: Sites, when: str) -> dict[int, Tensor]:
        """C of the inputs of every block, over one augmented pass of the task's images."""
        self.net.eval()
        recorded = InputMoments(sites)
        generator = self.context.randomness.on_device("inputs", when, task.index)
        for batch in task.train.batches(self.recipe.later_tasks.batch_size, generator, augment=True):
            self.net.embed(batch.x, recorded)
        return recorded.moments()


METHOD = InfLoRA
