"""GEM, Lopez-Paz and Ranzato 2017: no step may raise the loss on the memory of any past task."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

import torch
from torch import Tensor

from cil_core.learning.gradients import flat_gradient, gradient_of, project_on_tasks, set_gradient
from cil_core.learning.losses import task_cross_entropy
from cil_core.learning.method import Method
from cil_core.learning.phase import Batch, Losses, Phase, Step, Task
from cil_core.spec.recipes import GEMRecipe


class GEM(Method):
    """Trains on new data; projects gradients that raise the loss on a past task's exemplars.

    Paper: a single online pass of plain SGD with margin 0.5 (preset `paper`).
    Differs: the default trains offline without a margin, as PyCIL; exemplars are herded. The protocol's
        real boundaries separate tasks. Momentum and weight decay act after the projection and may break a
        constraint.
    Reports: the linear head; the nearest mean of exemplars beside it.
    """

    recipe: GEMRecipe

    def learn(self, task: Task) -> Iterator[Phase]:
        """One phase on the new data, with projected gradients from the second task on."""
        yield self.standard_phase(
            task, data=task.train, after_backward=None if task.is_first else self.project
        )

    def losses(self, batch: Batch, step: Step) -> Losses:
        """Cross-entropy among the new classes."""
        return {"classification": task_cross_entropy(self.net(batch.x).logits, batch.y, step.task.bounds)}

    def project(self, batch: Batch, step: Step) -> None:  # noqa: ARG002 — the batch has left its gradient
        """Replace the gradient by the nearest one that harms no past task."""
        parameters = list(self.net.parameters())
        bounds = step.task.bounds
        references = torch.stack(
            [self.past_gradient(low, high, bounds) for low, high in pairwise(bounds[:-1])]
        )
        gradient = flat_gradient(parameters)
        projected = project_on_tasks(gradient, references, self.recipe.margin, self.recipe.ridge)
        if projected is not gradient:
            set_gradient(parameters, projected)

    def past_gradient(self, low: int, high: int, bounds: tuple[int, ...]) -> Tensor:
        """The gradient (p,) of the loss on all exemplars of the classes low … high − 1, unaugmented."""
        past = self.memory.data.of_classes(low, high)
        loss = task_cross_entropy(self.net(self.transform.plain(past.images)).logits, past.labels, bounds)
        return gradient_of(loss, list(self.net.parameters()))


METHOD = GEM
