"""The only evaluation loop of the project: classifiers share one pass over the test images.

`evaluate` counts correct answers, a row of the accuracy matrix per classifier. `best_classes` answers where
the labels are not at hand, for a caller that holds them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from cil_core.data.arrays import ArrayDataset
from cil_core.learning.method import EVALUATION_BATCH, Method
from cil_core.spec.events import Counts

TOP = 5


@torch.no_grad()
def evaluate(method: Method, tests: Sequence[ArrayDataset]) -> dict[str, Counts]:
    """Count correct predictions among all seen classes.

    Args:
        method: trained up to the last of these tasks.
        tests: test images of each task seen so far.

    Returns:
        By classifier name, two counts per task: labels that are the best class, and labels among the
        min(5, seen) best.
    """
    score = scoring(method)
    rows: dict[str, list[Tensor]] = {}  # per task (2,): top-1, top-5
    for test in tests:
        counts: dict[str, Tensor] = {}
        for batch in test.batches(EVALUATION_BATCH):
            for name, values in score(batch.x).items():
                counts[name] = counts.get(name, 0) + _correct(values, batch.y)
        for name, row in counts.items():
            rows.setdefault(name, []).append(row)
    return {name: _as_counts(torch.stack(row)) for name, row in rows.items()}


@torch.no_grad()
def best_classes(method: Method, images: ArrayDataset) -> dict[str, Tensor]:
    """The best classes of each image, by classifier name.

    Args:
        method: trained up to the last task.
        images: test images; their labels are not looked at.

    Returns:
        int32 (N, min(5, seen)) on the CPU. The first column is what `evaluate` counts as the answer.
    """
    answers: dict[str, list[Tensor]] = {}
    score = scoring(method)
    for batch in images.batches(EVALUATION_BATCH):
        for name, values in score(batch.x).items():
            answers.setdefault(name, []).append(_best(values).to(torch.int32).cpu())
    return {name: torch.cat(parts) for name, parts in answers.items()}


def scoring(method: Method) -> Callable[[Tensor], dict[str, Tensor]]:
    """Prepare every classifier once; the result maps prepared images to scores (B, n) by classifier."""
    method.net.eval()
    scorers = {classifier.name: classifier.prepare(method) for classifier in method.classifiers}

    def score(x: Tensor) -> dict[str, Tensor]:
        outputs = method.net(x)
        return {name: scorer(x, outputs) for name, scorer in scorers.items()}

    return score


def _best(scores: Tensor) -> Tensor:
    """The best classes with the first maximum in front, which `topk` does not promise among equals."""
    best, first = scores.topk(min(TOP, scores.shape[1]), dim=1).indices, scores.argmax(dim=1, keepdim=True)
    is_listed = (best == first).any(dim=1, keepdim=True)
    best = torch.where(is_listed, best, torch.cat([first, best[:, :-1]], dim=1))
    return best.gather(1, (best != first).to(torch.uint8).argsort(dim=1, stable=True))


def _correct(scores: Tensor, labels: Tensor) -> Tensor:
    best = scores.topk(min(TOP, scores.shape[1]), dim=1).indices == labels[:, None]
    top1 = scores.argmax(dim=1) == labels
    return torch.stack([top1.sum(), (best.any(dim=1) | top1).sum()])


def _as_counts(row: Tensor) -> Counts:
    top1, top5 = row.T.tolist()
    return Counts(correct=tuple(top1), correct_top5=tuple(top5))
