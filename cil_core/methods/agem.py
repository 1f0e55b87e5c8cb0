"""A-GEM, Chaudhry et al. 2019: no step may raise the average loss on a sample of the memory."""

from __future__ import annotations

from collections.abc import Iterator

import torch
import torch.nn.functional as F
from torch import Tensor

from cil_core.learning.gradients import flat_gradient, gradient_of, project_on_average, set_gradient
from cil_core.learning.losses import task_cross_entropy
from cil_core.learning.method import Method
from cil_core.learning.phase import Batch, Losses, Phase, Step, Task
from cil_core.spec.recipes import AGEMRecipe


class AGEM(Method):
    """Trains on new data; removes the part of a gradient that raises the loss on a random batch of exemplars.

    Paper: a single online pass of plain SGD in which every image competes within its task only (preset
        `paper`).
    Differs: the default trains offline; exemplars are herded. `masks="none"` lets all classes compete, as
        class-incremental codes do.
    Reports: the linear head; the nearest mean of exemplars beside it.
    """

    recipe: AGEMRecipe

    def learn(self, task: Task) -> Iterator[Phase]:
        """One phase on the new data; exemplars enter through the reference gradient alone."""
        guard = self.respect_memory if len(self.memory) else None
        yield self.standard_phase(task, data=task.train, after_backward=guard)

    def losses(self, batch: Batch, step: Step) -> Losses:
        """Cross-entropy, masked or not."""
        return {"classification": self.cross_entropy(batch.x, batch.y, step.task)}

    def cross_entropy(self, x: Tensor, y: Tensor, task: Task) -> Tensor:
        """Cross-entropy within each image's task, or over all seen classes."""
        logits = self.net(x).logits
        return (
            task_cross_entropy(logits, y, task.bounds)
            if self.recipe.masks == "task"
            else F.cross_entropy(logits, y)
        )

    def respect_memory(self, batch: Batch, step: Step) -> None:  # noqa: ARG002 — the batch has left its gradient
        """Remove from the gradient what raises the loss on a random batch of exemplars."""
        generator = self.context.randomness.on_device("reference", step.task.index, step.iteration)
        drawn = torch.randperm(len(self.memory), generator=generator, device=generator.device)[
            : self.recipe.reference_batch
        ]
        sample = self.memory.data.select(drawn)
        parameters = list(self.net.parameters())
        reference = gradient_of(
            self.cross_entropy(self.transform.train(sample.images, generator), sample.labels, step.task),
            parameters,
        )
        gradient = flat_gradient(parameters)
        projected = project_on_average(gradient, reference)
        if projected is not gradient:
            set_gradient(parameters, projected)


METHOD = AGEM
