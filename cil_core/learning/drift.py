"""Where old prototypes are after a network has changed, estimated from new images alone.

Decisions:
    * Every estimate takes `FeaturePairs`, old and new features of the same images, and all prototypes as they
      were. It returns values and changes nothing, so no prototype sees another one that has already moved.
    * SDC's weights are a softmax over images: they sum to 1 however small σ is, without a floor.
    * Linear maps and ridge regressions are solved in float64.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from cil_core.data.arrays import ArrayDataset
from cil_core.data.features import FeatureDataset
from cil_core.learning.feature_pairs import FeaturePairs
from cil_core.learning.moments import Moments
from cil_core.learning.phase import Batch, Losses, Step
from cil_core.nets.heads import LinearHead, fresh_cosine_rows
from cil_core.nets.incremental import Net


def weighted_drift(pairs: FeaturePairs, means: Tensor, sigma: float) -> Tensor:
    """The drift Δ_c of each prototype: a mean of the images' drifts, near ones first (SDC, Yu et al. 2020).

    Image i has weight exp(−‖f°_i − μ_c‖² / 2σ²), scaled so that the weights of a class sum to 1.

    Args:
        pairs: features (N, d) of new images.
        means: μ_c (c, d), in the old feature space.
        sigma: σ > 0.

    Returns:
        (c, d), float64.
    """
    old, new = pairs.old.double(), pairs.new.double()
    squares = torch.cdist(means.double(), old, compute_mode=_EXACT) ** 2
    return torch.softmax(-squares / (2 * sigma**2), dim=1) @ (new - old)


_EXACT = "donot_use_mm_for_euclid_dist"
"""Distances without the rounding of a matrix product."""


@dataclass(frozen=True, slots=True)
class Attack:
    """How images of new classes are moved towards an old prototype.

    Args:
        nearest: images per class, those whose old features are nearest to the prototype.
        steps: gradient steps.
        step_size: length of one step over all images of a class together, in normalised pixels.
    """

    nearest: int
    steps: int
    step_size: float


def adversarial_drift(
    nets: tuple[Net, Net], data: ArrayDataset, old: Tensor, means: Tensor, attack: Attack
) -> tuple[Tensor, int]:
    """The mean drift of images that the old network takes for an old class (ADC, Goswami et al. 2024).

    Images near a prototype are changed until their old features are nearest to it. If none gets there, the
    unchanged images count instead.

    Args:
        nets: the old network and the new one, both in evaluation mode.
        data: images of new classes.
        old: their features (N, d) under the old network.
        means: μ_c (c, d), in the old feature space.
        attack: how images are changed.

    Returns:
        Drifts (c, d), and the number of classes for which no attack succeeded.
    """
    old_net, net = nets
    drifts, failed = [], 0
    for label, order in enumerate(torch.cdist(means, old).argsort(dim=1, stable=True)):
        chosen = data.select(order[: attack.nearest])
        batch = next(chosen.batches(len(chosen)))
        x = _attacked(old_net, batch.x, means[label], attack, _pixel_range(data))
        with torch.no_grad():
            hits = torch.cdist(old_net.features(x), means).argmin(dim=1) == label
            failed += not bool(hits.any())
            x = x[hits] if bool(hits.any()) else batch.x
            drifts.append((net.features(x) - old_net.features(x)).mean(dim=0))
    return torch.stack(drifts), failed


def _attacked(net: Net, x: Tensor, target: Tensor, attack: Attack, limits: tuple[Tensor, Tensor]) -> Tensor:
    """Images (B, C, H, W) after steps down the squared distance of their features to `target` (d,)."""
    for _ in range(attack.steps):
        x = x.detach().requires_grad_()
        with torch.enable_grad():
            distance = (net.features(x) - target).square().mean()
            (gradient,) = torch.autograd.grad(distance, x)
        length = gradient.norm().clamp_min(torch.finfo(gradient.dtype).tiny)
        x = torch.clamp(x.detach() - attack.step_size * gradient / length, *limits)
    return x.detach()


def _pixel_range(data: ArrayDataset) -> tuple[Tensor, Tensor]:
    """Normalised values of black and white, each (1, C, H, W)."""
    shape = next(data.batches(1)).raw.shape
    black = torch.zeros(shape, dtype=torch.uint8, device=data.labels.device)
    return data.transform.plain(black), data.transform.plain(black + 255)


def linear_map(pairs: FeaturePairs, ridge: float) -> Tensor:
    """P (d, d) that minimises ‖F° P − F‖² + ridge · ‖P‖², in float64; features are rows.

    Args:
        pairs: features (N, d).
        ridge: ε > 0; it decides where N images do not determine P.
    """
    old, new = pairs.old.double(), pairs.new.double()
    identity = torch.eye(old.shape[1], dtype=old.dtype, device=old.device)
    rows = torch.cat([old, ridge**0.5 * identity])
    targets = torch.cat([new, torch.zeros_like(identity)])
    solution: Tensor = torch.linalg.lstsq(rows, targets).solution
    return solution


class LinearFit:
    """LDC's map M (d, d) and its training: the mean squared error of M f° against f.

    Args:
        pairs: features (N, d).
        generator: draws the start, uniform in ±1/√d.
    """

    def __init__(self, pairs: FeaturePairs, generator: torch.Generator) -> None:
        width = pairs.old.shape[1]
        self.model = LinearHead(width, bias=False).to(pairs.old.device)
        self.model.weight = nn.Parameter(fresh_cosine_rows(width, width, generator).to(pairs.old))
        self.targets = pairs.new
        self.data = FeatureDataset(
            pairs.old, torch.zeros(len(pairs.old), dtype=torch.long).to(pairs.old.device)
        )

    def loss(self, batch: Batch, step: Step) -> Losses:  # noqa: ARG002 — every loss of a phase takes the step
        """The error over a batch of old features."""
        return {"map": F.mse_loss(self.model(batch.x), self.targets[batch.index])}


def mapped(moments: Moments, mapping: Tensor, threshold: float) -> Moments:
    """Moments of old classes in the new feature space (DPCR, He et al. 2025).

    Args:
        moments: in the old feature space.
        mapping: P (d, d), from `linear_map`.
        threshold: 0 maps every direction. Otherwise only those eigenvectors V of a class's second moment
            whose eigenvalue is above `threshold` times the largest one survive: W_c = P V Vᵀ.
    """
    seconds, means = moments.seconds.double(), moments.means.double()
    ways = mapping.double().expand(len(means), -1, -1)
    if threshold:
        values, vectors = torch.linalg.eigh(seconds)
        vectors = vectors * (values > threshold * values[:, -1:])[:, None, :]
        ways = ways @ vectors @ vectors.mT
    return Moments(moments.counts, (means[:, None] @ ways).squeeze(1), ways.mT @ seconds @ ways)


def ridge_rows(moments: Moments, ridge: float) -> Tensor:
    """Unit rows (n, d) of the ridge regression from features to one-hot labels, from moments alone.

    Column c of the solution is (γI + Σ Φ)⁻¹ N_c μ_c, where Σ Φ sums the second moments of all classes.

    Args:
        moments: of every class, in the present feature space.
        ridge: γ > 0.
    """
    total = moments.seconds.double().sum(dim=0)
    regularised = total + ridge * torch.eye(len(total), dtype=total.dtype, device=total.device)
    sums = moments.counts.double()[:, None] * moments.means.double()
    solution = torch.linalg.solve(regularised, sums.T).T
    return F.normalize(solution, dim=1)
