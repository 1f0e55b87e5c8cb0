"""Gradient surgery: replaces a gradient that conflicts with past tasks by the nearest one that does not.

Sources: GEM (Lopez-Paz and Ranzato, NeurIPS 2017) and A-GEM (Chaudhry et al., ICLR 2019).

Decisions:
    * Gradients are flat vectors (p,) over the parameters in their order. A parameter that a loss does not
      reach has gradient zero.
    * GEM's dual problem is equivalent to non-negative least squares, which scipy solves with active sets. No
      general QP solver is needed.
    * A gradient without conflict is returned unchanged. So is one that is not finite: the trainer reports
      divergence.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from scipy.optimize import nnls
from torch import Tensor, nn

SOLVER_STEPS = 1000


def flat_gradient(parameters: Sequence[nn.Parameter]) -> Tensor:
    """The gradients of the last backward pass, concatenated, (p,)."""
    return _flat([parameter.grad for parameter in parameters], parameters)


def gradient_of(loss: Tensor, parameters: Sequence[nn.Parameter]) -> Tensor:
    """The gradient (p,) of a loss; the parameters' `grad` stays unchanged."""
    return _flat(torch.autograd.grad(loss, parameters, allow_unused=True), parameters)


def set_gradient(parameters: Sequence[nn.Parameter], vector: Tensor) -> None:
    """Set the gradients to the slices of `vector` (p,)."""
    for parameter, piece in zip(
        parameters, vector.split([parameter.numel() for parameter in parameters]), strict=True
    ):
        parameter.grad = piece.reshape(parameter.shape).to(parameter)


def _flat(gradients: Sequence[Tensor | None], parameters: Sequence[nn.Parameter]) -> Tensor:
    pairs = zip(gradients, parameters, strict=True)
    return torch.cat(
        [
            torch.zeros_like(parameter).flatten() if gradient is None else gradient.flatten()
            for gradient, parameter in pairs
        ]
    )


def project_on_average(gradient: Tensor, reference: Tensor) -> Tensor:
    """A-GEM (section 4): g − (g·r / r·r) r if g·r < 0, else g.

    Args:
        gradient: g (p,).
        reference: r (p,), the gradient on a sample of the memory.

    Returns:
        The projection (p,), or `gradient` itself if the two do not conflict.
    """
    overlap = gradient @ reference
    if not bool(overlap < 0):
        return gradient
    return gradient - (overlap / (reference @ reference)) * reference


def project_on_tasks(gradient: Tensor, references: Tensor, margin: float, ridge: float) -> Tensor:
    """GEM (section 3): the nearest g̃ with G g̃ ≥ 0.

    It is g̃ = g + Gᵀ v with v = argmin ½ vᵀ(G Gᵀ + ridge I)v + (G g)ᵀ v subject to v ≥ margin.

    Args:
        gradient: g (p,).
        references: G (t, p), one row per past task.
        margin: γ ≥ 0, how strongly every past task is favoured once one conflicts.
        ridge: added to the diagonal for stability; constraints then hold up to −ridge · max(v).

    Returns:
        g̃ (p,), or `gradient` itself if no task conflicts.
    """
    harm = references @ gradient
    if bool((harm >= 0).all()) or not bool(torch.isfinite(harm).all()):
        return gradient
    weights = _dual_solution(gradient.double(), references.double(), margin, ridge)
    return gradient + weights.to(gradient) @ references


def _dual_solution(gradient: Tensor, references: Tensor, margin: float, ridge: float) -> Tensor:
    """v (t,) of `project_on_tasks`.

    With u = v − margin ≥ 0 it minimises ‖[Gᵀ; √ridge I](u + margin) + [g; 0]‖², reduced to t rows by QR.
    """
    tasks = len(references)
    basis, triangle = torch.linalg.qr(references.T)  # (p, t) or narrower, (·, t)
    target = np.concatenate([(-basis.T @ gradient).numpy(force=True), np.zeros(tasks)])
    matrix = np.concatenate([triangle.numpy(force=True), np.sqrt(ridge) * np.eye(tasks)])
    excess, _ = nnls(matrix, target - matrix @ np.full(tasks, margin), maxiter=SOLVER_STEPS)
    return torch.from_numpy(excess + margin)
