"""A random, class-balanced sample of everything seen (GDumb, Prabhu et al. 2020).

Decisions:
    * The budget is filled as long as images last: numbers of images per class differ by at most one, unless a
      class has no more.
    * A class is shuffled once, when it arrives, and later keeps the first of its order. That is the same
      distribution as an online sampler that replaces images of the largest class.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch

from cil_core.data.arrays import ArrayDataset
from cil_core.learning.memory import Memory
from cil_core.spec.jobs import MemoryBudget


def balanced_counts(available: Sequence[int], places: int) -> list[int]:
    """How many images each class keeps, so that the smallest number is as large as possible.

    Args:
        available: images of each class.
        places: to fill; fewer are filled if the images do not last.
    """
    counts = [0] * len(available)
    left = places
    by_size = sorted(range(len(available)), key=lambda place: available[place])
    for rank, place in enumerate(by_size):
        counts[place] = min(available[place], left // (len(available) - rank))
        left -= counts[place]
    return counts


def balanced_sample(
    memory: Memory, fresh: ArrayDataset, budget: MemoryBudget, image_bytes: int, generator: torch.Generator
) -> ArrayDataset:
    """The memory with the images of new classes, cut to the budget.

    Args:
        memory: images of old classes, each class in its random order.
        fresh: the images of new classes.
        budget: of the track.
        image_bytes: bytes of one image.
        generator: a CPU generator that shuffles the new images.
    """
    shuffled = fresh.select(torch.randperm(len(fresh), generator=generator).to(fresh.labels.device))
    candidates = memory.data + shuffled if len(memory) else shuffled
    places = torch.arange(len(candidates), device=fresh.labels.device)
    classes = [places[candidates.labels == label] for label in candidates.labels.unique().tolist()]
    if budget.kind == "per_class":
        counts = [budget.amount] * len(classes)
    else:
        counts = balanced_counts([len(members) for members in classes], budget.quota(1, image_bytes))
    return candidates.select(
        torch.cat([members[:count] for members, count in zip(classes, counts, strict=True)])
    )
