"""DER++ (dark experience replay), Buzzega et al. 2020: rehearse images with the logits recorded with them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from cil_core.learning.losses import stored_logits_distance
from cil_core.learning.method import Method, RunContext
from cil_core.learning.phase import Batch, Losses, Phase, Step, Task
from cil_core.learning.reservoir import Reservoir, capacity
from cil_core.spec.recipes import DERppRecipe


class DERpp(Method):
    """L = CE(new batch) + α · MSE to stored logits on one random batch of the reservoir + β · CE on another.

    Paper: all outputs exist from the start, and the stored logits of classes to come are regressed too.
    Differs: the head grows; logits are compared on the classes that were known when they were stored.
    Reports: the linear head. Every epoch offers its images to the reservoir again, with the logits of the
        augmented image before the step. Stored logits are charged as kept bytes, and share a budget that is
        given in bytes.
    """

    recipe: DERppRecipe

    def __init__(self, recipe: Any, context: RunContext) -> None:
        super().__init__(recipe, context)
        self.reservoir = Reservoir()
        self.latest = torch.zeros(0, 0)  # logits of the batch in hand; between steps they mean nothing

    def learn(self, task: Task) -> Iterator[Phase]:
        """One phase on the new data; the memory is drawn from beside it."""
        yield self.standard_phase(task, data=task.train, after_step=self.record)

    def losses(self, batch: Batch, step: Step) -> Losses:
        """Cross-entropy on the batch and, once something is stored, both rehearsals."""
        self.latest = self.net(batch.x).logits
        losses = {"classification": F.cross_entropy(self.latest, batch.y)}
        if not len(self.memory):
            return losses
        generator = self.context.randomness.on_device("rehearsal", step.task.index, step.iteration)
        if self.recipe.alpha:
            drawn, logits = self.rehearse(len(batch), generator)
            stored, widths = self.reservoir.logits[drawn], self.reservoir.widths[drawn]
            losses["dark knowledge"] = self.recipe.alpha * stored_logits_distance(logits, stored, widths)
        if self.recipe.beta:
            drawn, logits = self.rehearse(len(batch), generator)
            losses["rehearsal"] = self.recipe.beta * F.cross_entropy(logits, self.memory.labels[drawn])
        return losses

    def rehearse(self, count: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """Places of at most `count` stored images, drawn without replacement and augmented; their logits."""
        drawn = self.memory.draw(count, generator)
        return drawn.index, self.net(drawn.x).logits

    def record(self, batch: Batch, step: Step) -> None:
        """After the step: offer the batch to the reservoir."""
        context, task = self.context, step.task
        places = capacity(context.budget, task.seen, context.dataset.image_bytes, sum(context.task_sizes))
        offered = task.train.select(batch.index)
        self.reservoir.offer(
            self.memory,
            offered,
            self.latest.detach(),
            places,
            context.randomness.on_cpu("reservoir", task.index, step.iteration),
        )

    def remember(self, task: Task) -> None:
        """Select nothing: `record` has kept the memory up to date during training."""


METHOD = DERpp
