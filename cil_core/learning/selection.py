"""Which images of a class to keep: functions from features to an order of priority.

The first m images of an order are the best m.

The two herdings agree at the start and differ at large quotas; they are not interchangeable.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

Selection = Callable[[Tensor, int], Tensor]
"""(features (N, d) with unit rows, count) → indices (min(count, N),) by falling priority."""

WELLING_ITERATIONS = 1000


def herding_greedy(features: Tensor, count: int) -> Tensor:
    """Greedy herding (iCaRL, algorithm 4).

    Each pick moves the mean of the picked features as close as possible to the class mean; ties take the
    lowest index.
    """
    mean = features.mean(dim=0)
    total = torch.zeros_like(mean)
    free = torch.ones(len(features), dtype=torch.bool, device=features.device)
    picked: list[Tensor] = []
    for size in range(1, min(count, len(features)) + 1):
        distance = (mean - (total + features) / size).norm(dim=1).masked_fill(~free, torch.inf)
        best = distance.argmin()
        picked.append(best)
        total = total + features[best]
        free[best] = False
    return torch.stack(picked) if picked else torch.zeros(0, dtype=torch.long, device=features.device)


def herding_welling(features: Tensor, count: int) -> Tensor:
    """Herding as in iCaRL's official code (Welling, ICML 2009).

    A weight vector follows the mean; an image that is picked twice moves the vector twice but is kept once.

    After 1000 iterations the search stops, and missing images follow by similarity to the weight vector.
    """
    wanted = min(count, len(features))
    mean = features.mean(dim=0)
    weight = mean.clone()
    picked: dict[int, None] = {}
    for _ in range(WELLING_ITERATIONS):
        if len(picked) == wanted:
            break
        best = int((features @ weight).argmax())
        picked.setdefault(best)
        weight = weight + mean - features[best]
    for index in (features @ weight).argsort(descending=True, stable=True).tolist():
        if len(picked) < wanted:
            picked.setdefault(index)
    return torch.tensor(list(picked), dtype=torch.long, device=features.device)


SELECTIONS: dict[str, Selection] = {"herding_greedy": herding_greedy, "herding_welling": herding_welling}
