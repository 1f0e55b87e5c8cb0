"""`StoredLogits`: an N-vector of logits per exemplar, kept up to date with what is learnt later (X-DER).

Decisions:
    * Old classes keep the first of their images, new ones get random images. Images and labels are in the
      method's `Memory`, in the same order.
    * Logits are those of augmented images under the trained network in evaluation mode.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from cil_core.data.arrays import ArrayDataset, Batch
from cil_core.learning.future_losses import transplanted
from cil_core.learning.memory import Memory

REFILL_BATCH = 256


class StoredLogits(nn.Module):
    """Logits (exemplars, N) of a memory.

    Args:
        total: N, classes of the whole protocol.
        ratio: γ of every transplant.
        device: of the logits.
    """

    logits: Tensor

    def __init__(self, total: int, ratio: float, device: torch.device) -> None:
        super().__init__()
        self.total, self.ratio = total, ratio
        self.register_buffer("logits", torch.zeros(0, total, device=device))
        self.draws = torch.zeros(0, device=device)

    def begin(self) -> None:
        """Forget how often exemplars were drawn; call it when a task begins."""
        self.draws = self.logits.new_zeros(len(self.logits))

    def transplant(self, drawn: Batch, fresh: Tensor, known: int, generator: torch.Generator) -> None:
        """Write fresh logits of current and later classes into those of drawn exemplars.

        The m-th draw of an exemplar in a task is used with probability 1 / m.

        Args:
            drawn: exemplars of old classes.
            fresh: their logits now, (B, N).
            known: o, the first column that is written.
            generator: on the device of the logits.
        """
        self.draws[drawn.index] += 1
        chance = torch.rand(len(drawn), generator=generator, device=generator.device)
        chosen = chance * self.draws[drawn.index] < 1
        before = self.logits[drawn.index]
        after = transplanted(before, fresh, drawn.y, known, self.total, self.ratio)
        self.logits[drawn.index] = torch.where(chosen[:, None], after, before)

    def refill(
        self,
        memory: Memory,
        train: ArrayDataset,
        quota: int,
        outputs: Callable[[Tensor], Tensor],
        generator: torch.Generator,
    ) -> None:
        """Cut old classes, take random images of new ones, and bring all logits up to date.

        Args:
            memory: changed.
            train: images of new classes.
            quota: images per class.
            outputs: prepared images → logits (B, N), in evaluation mode.
            generator: on the device of the images.
        """
        known = int(train.labels.min())
        order = torch.randperm(len(train), generator=generator, device=generator.device)
        fresh = train.select(order)
        fresh = fresh.select(first_of_each(fresh.labels, quota))
        logits = self._augmented(fresh, outputs, generator)
        logits = transplanted(logits, logits, fresh.labels, 0, known, self.ratio)
        if not len(memory):
            self.logits = logits
            memory.replace(fresh)
            return
        places = first_of_each(memory.labels, quota)
        old = memory.data.select(places)
        now = self._augmented(old, outputs, generator)
        stored = transplanted(self.logits[places], now, old.labels, known, self.total, self.ratio)
        self.logits = torch.cat([stored, logits])
        memory.replace(old + fresh)

    @torch.no_grad()
    def _augmented(
        self, data: ArrayDataset, outputs: Callable[[Tensor], Tensor], generator: torch.Generator
    ) -> Tensor:
        found = self.logits.new_zeros(len(data), self.total)
        for batch in data.batches(REFILL_BATCH, generator, augment=True):
            found[batch.index] = outputs(batch.x)
        return found


def first_of_each(labels: Tensor, quota: int) -> Tensor:
    """Places of the first `quota` images of every class, class by class."""
    classes = torch.nonzero(torch.bincount(labels)).flatten().tolist()
    return torch.cat([torch.nonzero(labels == label).flatten()[:quota] for label in classes])
