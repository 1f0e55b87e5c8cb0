"""`Reservoir`: an online memory that is always a uniform sample of all images offered to it (Vitter 1985).

Each image may be stored with the logits recorded when it was offered (DER++).

Decisions:
    * Images and labels live in the method's `Memory`; this module adds the logits and the count of offers,
      all of them buffers.
    * A vector of logits is as long as the number of classes known when it was stored. The rest of its row is
      zero and is ignored by comparisons; whole rows count as kept bytes.
    * The caller passes the generator that draws the place of each offer.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from cil_core.data.arrays import ArrayDataset
from cil_core.learning.memory import Memory
from cil_core.spec.aligned_budgets import FLOAT32_BYTES
from cil_core.spec.jobs import MemoryBudget


def capacity(budget: MemoryBudget, seen: int, image_bytes: int, logits: int) -> int:
    """The number of places of a reservoir.

    Args:
        budget: of the track. Images and logits share a budget in bytes; a budget per class grows with the
            classes.
        seen: classes seen so far.
        image_bytes: bytes of one image.
        logits: length of the longest vector that will be stored with an image.
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
        self,
        memory: Memory,
        data: ArrayDataset,
        logits: Tensor | None,
        places: int,
        generator: torch.Generator,
    ) -> None:
        """Offer images to the memory one by one.

        While there is room, each is kept. After that, the m-th offer draws one of m places and is kept if the
        reservoir has that place.

        Args:
            memory: changed.
            data: the images.
            logits: of these images, (B, n); n never decreases. None stores no logits, and must do so always.
            places: number of places; see `capacity`.
            generator: a CPU generator.
        """
        chosen = self._places(len(data), len(memory), places, generator)
        if not chosen:
            return
        kept = memory.data
        here = torch.tensor(list(chosen), device=kept.labels.device)
        source = torch.tensor(list(chosen.values()), device=kept.labels.device)
        size = max(len(memory), max(chosen) + 1)
        images, labels = _extended(kept.images, size), _extended(kept.labels, size)
        images[here], labels[here] = data.select(source).pixels(), data.labels[source]
        if logits is not None:
            self.logits = _extended(self.logits, size, logits.shape[1])
            self.widths = _extended(self.widths, size)
            self.logits[here], self.widths[here] = logits[source], logits.shape[1]
        memory.replace(ArrayDataset(images, labels, data.transform))

    def _places(self, offers: int, filled: int, places: int, generator: torch.Generator) -> dict[int, int]:
        """The offer that ends up in each place; a later offer displaces an earlier one."""
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
    """A copy that is padded with zeros to the given leading sizes."""
    copy = tensor.new_zeros(*size, *tensor.shape[len(size) :])
    copy[tuple(slice(extent) for extent in tensor.shape)] = tensor
    return copy
