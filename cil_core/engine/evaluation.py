"""`evaluate`, the only evaluation loop of the project: a row of the accuracy matrix per classifier.

All classifiers share one pass over the test images.
"""

from __future__ import annotations

from collections.abc import Sequence

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
    method.net.eval()
    scorers = {classifier.name: classifier.prepare(method) for classifier in method.classifiers}
    rows: dict[str, list[Tensor]] = {name: [] for name in scorers}  # per task (2,): top-1, top-5
    for test in tests:
        counts = {name: torch.zeros(2, dtype=torch.long, device=test.labels.device) for name in scorers}
        for batch in test.batches(EVALUATION_BATCH):
            outputs = method.net(batch.x)
            for name, scorer in scorers.items():
                counts[name] += _correct(scorer(batch.x, outputs), batch.y)
        for name, row in rows.items():
            row.append(counts[name])
    return {name: _as_counts(torch.stack(row)) for name, row in rows.items()}


def _correct(scores: Tensor, labels: Tensor) -> Tensor:
    best = scores.topk(min(TOP, scores.shape[1]), dim=1).indices == labels[:, None]
    top1 = scores.argmax(dim=1) == labels
    return torch.stack([top1.sum(), (best.any(dim=1) | top1).sum()])


def _as_counts(row: Tensor) -> Counts:
    top1, top5 = row.T.tolist()
    return Counts(correct=tuple(top1), correct_top5=tuple(top5))
