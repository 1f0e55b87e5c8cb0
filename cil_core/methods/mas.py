"""MAS (memory aware synapses), Aljundi et al. 2018: parameters that change outputs stay."""

from __future__ import annotations

from typing import Any

from cil_core.learning.importance import Importance
from cil_core.learning.losses import slice_cross_entropy
from cil_core.learning.method import Method, RunContext
from cil_core.learning.phase import Batch, Losses, Step, Task
from cil_core.learning.sensitivity import sensitivity
from cil_core.spec.recipes import MASRecipe


class MAS(Method):
    """L = CE over the new classes + λ Σ Ω_i (θ_i − θ*_i)²; Ω_i is the mean of |∂‖z‖²/∂θ_i| over images.

    Paper: one head per task; Ω of all tasks are added up.
    Differs: one growing head, whose rows count like all parameters; new rows are free. The absolute value is
        taken of each image's gradient, as defined; `gradients="batch"` takes that of a batch. Ω has a bound,
        because the common learning rate overshoots where 2 λ Ω is large.
    Reports: the linear head. Ω is kept between tasks and counts as memory; θ* is the teacher.
    """

    recipe: MASRecipe
    keeps_teacher = True
    plain_first_task = True

    def __init__(self, recipe: Any, context: RunContext) -> None:
        super().__init__(recipe, context)
        self.importance = Importance()

    def losses(self, batch: Batch, step: Step) -> Losses:
        """Classification, and from the second task on the penalty."""
        terms = {"classification": slice_cross_entropy(self.net(batch.x).logits, batch.y, step.task.known)}
        if self.teacher is not None:  # `penalty` is half the sum
            terms["penalty"] = 2 * self.recipe.strength * self.importance.penalty(self.net, self.teacher)
        return terms

    def consolidate(self, task: Task) -> None:
        """Estimate this task's Ω and merge it with the old one."""
        size = 1 if self.recipe.gradients == "per_sample" else self.recipe.later_tasks.batch_size
        fresh = sensitivity(self.net, task.train, self.recipe.norm, size)
        if self.recipe.merge == "sum":
            self.importance.accumulate(fresh)
        else:
            self.importance.average(fresh, old_share=0.5)
        if self.recipe.importance_max is not None:
            self.importance.limit(self.recipe.importance_max)


METHOD = MAS
