"""SS-IL (separated softmax), Ahn et al. 2021: new and old classes never compete in one softmax."""

from __future__ import annotations

from collections.abc import Iterator

import torch

from cil_core.learning.method import Method
from cil_core.learning.phase import Batch, Losses, Phase, Step, Task
from cil_core.learning.separated_losses import separated_cross_entropy, taskwise_distillation
from cil_core.spec.recipes import SSILRecipe


class SSIL(Method):
    """L = CE of new images among new classes and of exemplars among old ones + Σ over old tasks of T² · KL_T.

    Paper: every batch has a fixed number of exemplars; all images of a batch are distilled.
    Differs: exemplars are herded and drawn for each step, so an epoch covers all new images.
    Reports: the linear head; the nearest mean of exemplars beside it.
    """

    recipe: SSILRecipe
    keeps_teacher = True
    plain_first_task = True

    def learn(self, task: Task) -> Iterator[Phase]:
        """One phase on the new data; exemplars are drawn for each batch."""
        yield self.standard_phase(task, data=task.train)

    def losses(self, batch: Batch, step: Step) -> Losses:
        """Both softmaxes, and from the second task on distillation per task."""
        x, y, task = batch.x, batch.y, step.task
        if len(self.memory):
            generator = self.context.randomness.on_device("rehearsal", task.index, step.iteration)
            drawn = self.memory.draw(self.recipe.replay_batch, generator)
            x, y = torch.cat([x, drawn.x]), torch.cat([y, drawn.y])
        logits = self.net(x).logits
        losses = {"classification": separated_cross_entropy(logits, y, task.known)}
        if self.teacher is not None:
            losses["distillation"] = taskwise_distillation(
                logits[:, : task.known], self.old_logits(x), task.bounds[:-1], self.recipe.temperature
            )
        return losses


METHOD = SSIL
