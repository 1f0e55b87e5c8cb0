"""SI (synaptic intelligence), Zenke et al. 2017: parameters that lowered the loss stay."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from cil_core.learning.importance import Importance
from cil_core.learning.losses import slice_cross_entropy
from cil_core.learning.method import Method, RunContext
from cil_core.learning.path_integral import PathIntegral
from cil_core.learning.phase import Batch, Losses, Phase, Step, Task
from cil_core.spec.recipes import SIRecipe


class SI(Method):
    """L = CE over the new classes + c Σ Ω_i (θ_i − θ*_i)²; Ω_i is a path integral per squared displacement.

    Paper: one head per task; path integrals of all tasks are added up.
    Differs: one growing head, whose rows count like all parameters; new rows are free. Negative integrals
        count as 0.
    Reports: the linear head. Ω is kept between tasks and counts as memory; θ* is the teacher.
    """

    recipe: SIRecipe
    keeps_teacher = True

    def __init__(self, recipe: Any, context: RunContext) -> None:
        super().__init__(recipe, context)
        self.importance = Importance()

    def learn(self, task: Task) -> Iterator[Phase]:
        """One phase, whose path is recorded."""
        self.path = PathIntegral(self.net)
        yield self.standard_phase(task, after_backward=self.before_step, after_step=self.after_step)
        self.importance.accumulate(self.path.importance(self.recipe.damping))

    def losses(self, batch: Batch, step: Step) -> Losses:
        """Classification, and from the second task on the penalty."""
        logits = self.net(batch.x).logits
        classification = slice_cross_entropy(logits, batch.y, step.task.known)
        if self.teacher is None:
            return {"classification": classification}
        penalty = self.importance.penalty(self.net, self.teacher)  # half the sum
        return {"classification": classification, "penalty": 2 * self.recipe.strength * penalty}

    def before_step(self, batch: Batch, step: Step) -> None:  # noqa: ARG002 — a hook
        """Note the gradient of the classification alone: the whole gradient without the penalty's."""
        gradients = {name: p.grad for name, p in self.net.named_parameters() if p.grad is not None}
        if self.teacher is not None:
            for name, pull in self.importance.pull(self.net, self.teacher).items():
                gradients[name] = gradients[name] - 2 * self.recipe.strength * pull
        self.path.before_step(gradients)

    def after_step(self, batch: Batch, step: Step) -> None:  # noqa: ARG002 — a hook
        """Add the step to the path."""
        self.path.after_step()


METHOD = SI
