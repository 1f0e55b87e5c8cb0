"""Optimal transport between classes: predicts classifier rows of some classes from those of others.

Source: COIL (Zhou et al., ACM MM 2021).

Decisions:
    * Every class has the same weight on its side: m source and n target classes have marginals 1/m and 1/n.
      One value for both sides makes the masses differ unless m = n. The iterations then have no fixed point,
      and where old classes outnumber new ones they end in zeros.
    * Sinkhorn runs in the log domain in float64 on the CPU, because plans are small. It rounds the same for
      every device of the network.
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
    """The entropic transport plan T (Cuturi, NeurIPS 2013).

    T ≥ 0 minimises ⟨T, cost⟩ + entropy · Σ T log T; its rows sum to 1/m and its columns to 1/n.

    After 1000 iterations the plan is returned unconverged; `describe` reports the error of its marginals.

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
    """Diagnostics of a plan (m, n).

    `marginal_error` is the largest deviation of a row or column sum; `contrast` is the largest entry over the
    mean.

    A contrast near 1 means that every target receives the same mixture of all sources.
    """
    rows, columns = plan.shape
    error = max(
        float((plan.sum(dim=1) - 1 / rows).abs().max()), float((plan.sum(dim=0) - 1 / columns).abs().max())
    )
    return {"marginal_error": error, "contrast": float(plan.max() / plan.mean())}


def carried_rows(plan: Tensor, rows: Tensor) -> Tensor:
    """Classifier rows of the target classes, each a mixture of the sources' unit rows.

    All are scaled by one factor, so that their mean norm is that of `rows`.

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
