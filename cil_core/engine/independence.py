"""Whether test results can leak: an image is scored alone as in any batch, and scoring changes no state.

Decisions:
    * A run is checked once, after its last task, with every classifier: 64 test images from all tasks are
      scored in one batch, in another order, and some of them alone.
    * Batches of other sizes round differently, so scores are compared relative to their largest magnitude, or
      absolutely where that is below 1: distances between nearly equal features are small, and their rounding
      is not. A choice inside a method may turn on such a difference, so few images may exceed it.
    * A run that fails has no result. It ends with `RuleBroken`, which says what depended on what.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from cil_core.data.arrays import ArrayDataset
from cil_core.engine.evaluation import scoring
from cil_core.learning.method import Method
from cil_core.spec.errors import RuleBroken

IMAGES = 64
ALONE = 16
TOLERANCE = 1e-3
"""Of scores in float32 on a CPU. PyTorch computes a distance as the root of a difference of squares, which
rounds near 0 by some 3e-4 in unit features."""

COARSE_TOLERANCE = 2e-2
"""On a GPU, which multiplies float32 as TF32, and in bfloat16."""

ALLOWED = 0.07
"""Share of images that may exceed the tolerance, rounded down."""


@torch.no_grad()
def check_independence(method: Method, tests: Sequence[ArrayDataset]) -> None:
    """Refuse results that depend on which test images share a batch.

    Args:
        method: trained up to the last of these tasks.
        tests: test images of each task.

    Raises:
        RuleBroken: scores of too many images change with the batch.
    """
    x = _sample(tests)
    score = scoring(method)
    together = score(x)
    alone = slice(0, len(x), max(1, len(x) // ALONE))
    one_by_one = [score(image[None]) for image in x[alone]]
    backwards = score(x.flip(0))
    is_coarse = x.device.type != "cpu" or method.context.precision != "fp32"
    tolerance = COARSE_TOLERANCE if is_coarse else TOLERANCE
    for name, scores in together.items():
        single = torch.cat([found[name] for found in one_by_one])
        _compare(name, "in another order", scores, backwards[name].flip(0), tolerance)
        _compare(name, "alone", scores[alone], single, tolerance)


def check_state(before: str, after: str) -> None:
    """Refuse an evaluation that changed the method.

    Args:
        before: digest of the method's state before it.
        after: the digest after it.

    Raises:
        RuleBroken: they differ.
    """
    if before != after:
        raise RuleBroken("testing changed the method's state, so results depend on the order of test images")


def _sample(tests: Sequence[ArrayDataset]) -> Tensor:
    """Prepared test images, evenly from all tasks and from all classes of a task."""
    share = -(-IMAGES // len(tests))
    parts = []
    for test in tests:
        index = torch.linspace(0, len(test) - 1, min(share, len(test)), device=test.labels.device).long()
        parts += [batch.x for batch in test.select(index).batches(share)]
    return torch.cat(parts)[:IMAGES]


def _compare(name: str, how: str, together: Tensor, other: Tensor, tolerance: float) -> None:
    scale = together.abs().max().clamp(min=1)
    differs = ((together - other).abs().amax(dim=1) / scale > tolerance).sum()
    if int(differs) > int(ALLOWED * len(together)):
        raise RuleBroken(
            f"{int(differs)} of {len(together)} test images have other scores {how} than in their batch "
            f"(classifier {name}): predictions depend on the other test images"
        )
