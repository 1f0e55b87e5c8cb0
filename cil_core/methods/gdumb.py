"""GDumb, Prabhu et al. 2020: keep a balanced sample, and train a new network on nothing else."""

from __future__ import annotations

from collections.abc import Iterator

import torch
import torch.nn.functional as F

from cil_core.learning.balanced_sample import balanced_sample
from cil_core.learning.cutmix import cutmix
from cil_core.learning.method import Method
from cil_core.learning.phase import Batch, Losses, Phase, Step, Task
from cil_core.spec.recipes import GDumbRecipe


class GDumb(Method):
    """After every task a freshly initialised network is trained on the memory alone, with CutMix.

    Paper: the sample fills as images arrive, one by one.
    Differs: a whole task is sampled at a time, at random. The network of the last epoch is evaluated.
    Reports: the linear head. The result depends on the memory alone, so it is a bound on what replay methods
        gain from new data and old networks.
    """

    recipe: GDumbRecipe

    def grow(self, task: Task) -> None:
        """Start again from new weights, with room for all seen classes."""
        backbone = self.fresh_backbone(task.index)
        self.net = self.build(backbone).to(self.context.device)
        self.net.grow(task.seen, self.init_generator(task))

    def learn(self, task: Task) -> Iterator[Phase]:
        """Sample, then train on the sample."""
        card, generator = self.context.dataset, self.init_generator(task, "sample")
        kept = balanced_sample(self.memory, task.train, self.context.budget, card.image_bytes, generator)
        self.memory.replace(kept)
        yield self.standard_phase(task, data=self.memory.data)

    def losses(self, batch: Batch, step: Step) -> Losses:
        """Cross-entropy; of some batches mixed by area."""
        generator = self.context.randomness.on_cpu("cutmix", step.task.index, step.iteration)
        if float(torch.rand((), generator=generator)) >= self.recipe.cutmix:
            return {"classification": F.cross_entropy(self.net(batch.x).logits, batch.y)}
        mixed = cutmix(batch.x, batch.y, generator)
        logits = self.net(mixed.x).logits
        own, pasted = F.cross_entropy(logits, batch.y), F.cross_entropy(logits, mixed.pasted)
        return {"classification": mixed.share * own + (1 - mixed.share) * pasted}

    def remember(self, task: Task) -> None:
        """Select nothing: the sample is the memory."""


METHOD = GDumb
