"""EWC, Kirkpatrick et al. 2017: parameters that mattered for old tasks stay where they were."""

from __future__ import annotations

from typing import Any

from cil_core.learning.importance import Importance, batch_fisher, fisher
from cil_core.learning.losses import slice_cross_entropy
from cil_core.learning.method import Method, RunContext
from cil_core.learning.phase import Batch, Losses, Step, Task
from cil_core.spec.recipes import EWCRecipe


class EWC(Method):
    """L = CE over the new classes + λ · (1/2) Σ F_i (θ_i − θ*_i)², on the new data; F is the diagonal Fisher.

    Paper: one penalty for each past task, with labels drawn from the model (`labels="model"`, `merge="sum"`).
    Differs: past tasks share one F around the latest θ*, which is the teacher. As PyCIL, the default squares
        the gradients of batches, takes the true labels and averages F over tasks by their classes. Unlike
        PyCIL it estimates F in evaluation mode without augmentation; `fisher_mode="training"` (preset
        `pycil`) does as PyCIL.
    Reports: the linear head. F is kept between tasks and counts as memory; θ* is then a copy of the network.
    """

    recipe: EWCRecipe
    keeps_teacher = True
    plain_first_task = True

    def __init__(self, recipe: Any, context: RunContext) -> None:
        super().__init__(recipe, context)
        self.importance = Importance()

    def losses(self, batch: Batch, step: Step) -> Losses:
        """Classification, and from the second task on the penalty."""
        losses = {"classification": slice_cross_entropy(self.net(batch.x).logits, batch.y, step.task.known)}
        if self.teacher is not None:
            losses["penalty"] = self.recipe.strength * self.importance.penalty(self.net, self.teacher)
        return losses

    def consolidate(self, task: Task) -> None:
        """Estimate this task's F and merge it with the old one."""
        recipe, generator = self.recipe, self.context.randomness.on_device("fisher", task.index)
        if recipe.fisher == "batch":
            batch_size = recipe.later_tasks.batch_size
            training = recipe.fisher_mode == "training"
            fresh = batch_fisher(
                self.net, task.train, batch_size, recipe.labels, generator, training=training
            )
        else:
            fresh = fisher(self.net, task.train, recipe.labels, generator)
        if recipe.fisher_max is not None:
            fresh = {name: value.clamp(max=recipe.fisher_max) for name, value in fresh.items()}
        if recipe.merge == "sum":
            self.importance.accumulate(fresh)
        else:
            self.importance.average(fresh, task.old_share)


METHOD = EWC
