"""`Reservoir`: an online memory that is at all times a uniform sample of what it was offered, with the logits each image had then.

Decisions:
    * Images and labels live in the method's `Memory`; this module adds the logits and the count of offers, all of them buffers.
    * A vector of logits is as long as the classes known when it was stored; the rest of its row is zero, and comparisons leave it out. The whole
      rows are charged as kept bytes.
    * Where each offer goes is drawn from a generator that is passed in.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from cil_core.data.arrays import ArrayDataset
from cil_core.learning.memory import Memory
from cil_core.spec.aligned_budgets import FLOAT32_BYTES
from cil_core.spec.jobs import MemoryBudget


def capacity(budget: MemoryBudget, seen: int, image_bytes: int, logits: int) -> int:
    """Places of a reservoir.

    Args:
        budget: of the track; one in bytes is shared by images and logits, one a class grows with the classes.
        seen: classes seen so far.
        image_bytes: of one image.
        logits: the longest vector that will be stored with an image.
    """
    if budget.kind == "per_class":
        return budget.quota(seen, image_bytes) * seen
    return budget.quota(1, image_bytes + FLOAT32_BYTES * logits)


class Reservoir(nn.Module):
    """Logits and offers of the images in a memory."""

    logits: Tensor
    widths: Tensor
    offered: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("logits", torch.zeros(0, 0))
        self.register_buffer("widths", torch.zeros(0, dtype=torch.long))
        self.register_buffer("offered", torch.zeros((), dtype=torch.long))

    def offer(
        self, memory: Memory, data: ArrayDataset, logits: Tensor, places: int, generator: torch.Generator
    ) -> None:
        """Offer images to the memory, one after another: while there is room each is kept; the m-th offer then takes a random place of m, if there is one.

        Args:
            memory: changed.
            data: the images.
            logits: what the network says of them, (B, n); n never falls.
            places: the reservoir's size.
            generator: a CPU generator.
        """
        chosen = self._places(len(data), len(memory), places, generator)
        if not chosen:
            return
        here = torch.tensor(list(chosen), device=logits.device)
        source = torch.tensor(list(chosen.values()), device=logits.device)
        size = max(len(memory), max(chosen) + 1)
        kept = memory.data
        images, labels = _extended(kept.images, size), _extended(kept.labels, size)
        self.logits = _extended(self.logits, size, logits.shape[1])
        self.widths = _extended(self.widths, size)
        images[here], labels[here] = data.select(source).pixels(), data.labels[source]
        self.logits[here], self.widths[here] = logits[source], logits.shape[1]
        memory.replace(ArrayDataset(images, labels, data.transform))

    def _places(self, offers: int, filled: int, places: int, generator: torch.Generator) -> dict[int, int]:
        """Which place is taken by which offer; a later offer displaces an earlier one."""
        chances = torch.rand(offers, generator=generator, dtype=torch.float64).tolist()
        before = int(self.offered)
        self.offered += offers
        taken: dict[int, int] = {}
        for offer, chance in enumerate(chances):
            place = filled if filled < places else int(chance * (before + offer + 1))
            if place < places:
                taken[place] = offer
                filled = max(filled, place + 1)
        return taken


def _extended(tensor: Tensor, *size: int) -> Tensor:
    """A copy with at least the given leading sizes, zeros where there was nothing."""
    copy = tensor.new_zeros(*size, *tensor.shape[len(size) :])
    copy[tuple(slice(extent) for extent in tensor.shape)] = tensor
    return copy
