"""ER-ACE (asymmetric cross-entropy), Caccia et al. 2022: new images do not push old logits down."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch.nn.functional as F

from cil_core.learning.losses import slice_cross_entropy
from cil_core.learning.method import Method, RunContext
from cil_core.learning.phase import Batch, Losses, Phase, Step, Task
from cil_core.learning.reservoir import Reservoir, capacity
from cil_core.learning.separated_losses import present_cross_entropy
from cil_core.spec.recipes import ERACERecipe


class ERACE(Method):
    """L = CE(new batch, among the classes present in it) + CE(a random batch of the reservoir, all classes).

    Paper: a single online pass (preset `online`).
    Differs: the default trains offline, and its first task is plain cross-entropy without rehearsal;
        `task_free=True` treats all tasks alike. The head grows, so no output of a class to come competes.
    Reports: the linear head. Every epoch offers its images to the reservoir again, after the step and without
        augmentation.
    """

    recipe: ERACERecipe

    def __init__(self, recipe: Any, context: RunContext) -> None:
        super().__init__(recipe, context)
        self.reservoir = Reservoir()

    def learn(self, task: Task) -> Iterator[Phase]:
        """One phase on the new data; the memory is drawn from in every step."""
        yield self.standard_phase(task, data=task.train, after_step=self.offer)

    def losses(self, batch: Batch, step: Step) -> Losses:
        """Cross-entropy of the new batch and, once something is stored, of as many exemplars."""
        logits, task = self.net(batch.x).logits, step.task
        if task.is_first and not self.recipe.task_free:
            return {"classification": F.cross_entropy(logits, batch.y)}
        if self.recipe.mask == "batch":
            losses = {"classification": present_cross_entropy(logits, batch.y)}
        else:
            losses = {"classification": slice_cross_entropy(logits, batch.y, task.known)}
        if len(self.memory):
            generator = self.context.randomness.on_device("rehearsal", task.index, step.iteration)
            drawn = self.memory.draw(len(batch), generator)
            losses["rehearsal"] = F.cross_entropy(self.net(drawn.x).logits, drawn.y)
        return losses

    def offer(self, batch: Batch, step: Step) -> None:
        """After the step: offer the batch to the reservoir."""
        places = capacity(self.context.budget, step.task.seen, self.context.dataset.image_bytes, logits=0)
        generator = self.context.randomness.on_cpu("reservoir", step.task.index, step.iteration)
        self.reservoir.offer(self.memory, step.task.train.select(batch.index), None, places, generator)

    def remember(self, task: Task) -> None:
        """Select nothing: `offer` has kept the memory up to date during training."""


METHOD = ERACE
