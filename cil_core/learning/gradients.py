"""Gradient surgery: a step that would harm the past is replaced by the nearest one that does not (GEM, A-GEM).

Decisions:
    * Gradients are flat vectors (p,) over the parameters in their order; a parameter that a loss does not reach counts as zero.
    * GEM's dual problem is a non-negative least-squares problem in disguise, which scipy solves exactly by active sets: no general QP solver.
    * A gradient that harms nothing is returned as it is, bit for bit. So is one that is not finite: the trainer reports divergence.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from scipy.optimize import nnls
from torch import Tensor, nn

SOLVER_STEPS = 1000


def flat_gradient(parameters: Sequence[nn.Parameter]) -> Tensor:
    """The gradients that the last backward pass left, side by side, (p,)."""
    return _flat([parameter.grad for parameter in parameters], parameters)


def gradient_of(loss: Tensor, parameters: Sequence[nn.Parameter]) -> Tensor:
    """The gradient (p,) of a loss; what the last backward pass left stays as it is."""
    return _flat(torch.autograd.grad(loss, parameters, allow_unused=True), parameters)


def set_gradient(parameters: Sequence[nn.Parameter], vector: Tensor) -> None:
    """Replace the gradients by the pieces of `vector` (p,)."""
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
    """A-GEM: remove the part of `gradient` that points against `reference`, g − (g·r / r·r) r if g·r < 0.

    Args:
        gradient: g (p,).
        reference: r (p,), the gradient on a sample of the memory.
    """
    overlap = gradient @ reference
    if not bool(overlap < 0):
        return gradient
    return gradient - (overlap / (reference @ reference)) * reference


def project_on_tasks(gradient: Tensor, references: Tensor, margin: float, ridge: float) -> Tensor:
    """GEM: the nearest g̃ with G g̃ ≥ 0, as g̃ = g + Gᵀ v with v = argmin ½ vᵀ(G Gᵀ + ridge I)v + (G g)ᵀ v subject to v ≥ margin.

    Args:
        gradient: g (p,).
        references: G (t, p), a row for each past task.
        margin: γ ≥ 0, how strongly every past task is favoured once one is harmed.
        ridge: added to the diagonal for stability; constraints then hold up to −ridge · max(v).

    Returns:
        g̃ (p,), or `gradient` itself if no task is harmed.
    """
    harm = references @ gradient
    if bool((harm >= 0).all()) or not bool(torch.isfinite(harm).all()):
        return gradient
    weights = _dual_solution(gradient.double(), references.double(), margin, ridge)
    return gradient + weights.to(gradient) @ references


def _dual_solution(gradient: Tensor, references: Tensor, margin: float, ridge: float) -> Tensor:
    """v (t,) of `project_on_tasks`: with u = v − margin ≥ 0 it minimises ‖[Gᵀ; √ridge I](u + margin) + [g; 0]‖², reduced to t rows by QR."""
    tasks = len(references)
    basis, triangle = torch.linalg.qr(references.T)  # (p, t) or narrower, (·, t)
    target = np.concatenate([(-basis.T @ gradient).numpy(force=True), np.zeros(tasks)])
    matrix = np.concatenate([triangle.numpy(force=True), np.sqrt(ridge) * np.eye(tasks)])
    excess, _ = nnls(matrix, target - matrix @ np.full(tasks, margin), maxiter=SOLVER_STEPS)
    return torch.from_numpy(excess + margin)
