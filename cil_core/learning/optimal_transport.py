"""Optimal transport between classes: how the classifier rows of some classes become guesses for others (COIL, Zhou et al. 2021).

Decisions:
    * Every class weighs the same on its side: m source and n target classes have marginals 1/m and 1/n. With one value for both sides the
      masses differ unless m = n; the iterations then have no fixed point, and where old classes outnumber new ones they end in zeros.
    * Sinkhorn runs in the log domain in float64 on the CPU, whatever the network's device: plans are small, and equal everywhere.
"""

from __future__ import annotations

import ot
import torch
from torch import Tensor

TOLERANCE = 1e-9
ITERATIONS = 1000


def class_cost(source: Tensor, target: Tensor, norm: float) -> Tensor:
    """Distance ‖p_i − p_j‖ between class means.

    Args:
        source: means (m, d).
        target: means (n, d).
        norm: order of the Minkowski norm, at least 1.

    Returns:
        (m, n).
    """
    return torch.cdist(source, target, p=norm)


def transport_plan(cost: Tensor, entropy: float) -> Tensor:
    """The entropic plan: T ≥ 0 with rows summing to 1/m and columns to 1/n that minimises ⟨T, cost⟩ + entropy · Σ T log T.

    After 1000 iterations the plan is returned as it stands; `describe` says how far its marginals are off.

    Args:
        cost: (m, n).
        entropy: ε > 0; a larger one spreads the mass more evenly.

    Returns:
        (m, n), float64 on the CPU.
    """
    exact = cost.detach().to("cpu", torch.float64)
    rows, columns = (torch.full((size,), 1 / size, dtype=torch.float64) for size in exact.shape)
    plan: Tensor = ot.sinkhorn(
        rows,
        columns,
        exact,
        entropy,
        method="sinkhorn_log",
        numItermax=ITERATIONS,
        stopThr=TOLERANCE,
        warn=False,
    )
    return plan


def describe(plan: Tensor) -> dict[str, float]:
    """What a plan (m, n) is worth: `marginal_error`, the largest deviation of a row or column sum, and `contrast`, its largest entry over its mean.

    A contrast near 1 means that every target receives the same mixture of all sources.
    """
    rows, columns = plan.shape
    error = max(
        float((plan.sum(dim=1) - 1 / rows).abs().max()), float((plan.sum(dim=0) - 1 / columns).abs().max())
    )
    return {"marginal_error": error, "contrast": float(plan.max() / plan.mean())}


def carried_rows(plan: Tensor, rows: Tensor) -> Tensor:
    """Classifier rows of the target classes: each a mixture of the sources' unit rows, all scaled so that the mean norm is that of `rows`.

    Args:
        plan: (m, n).
        rows: the sources' rows (m, d).

    Returns:
        (n, d), like `rows`.
    """
    unit = rows / rows.norm(dim=1, keepdim=True)
    mixed: Tensor = plan.to(rows).T @ unit
    factor: Tensor = rows.norm(dim=1).mean() / mixed.norm(dim=1).mean()
    return mixed * factor
