"""SSRE's prototype selection: how much an image of a new class looks like an old prototype.

Source: Zhu, Zhai, Cao, Luo and Zha, CVPR 2022.
"""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor


def likeness(features: Tensor, prototypes: Tensor) -> Tensor:
    """s_i = max_c cos(f_i, μ_c) over old prototypes, in [−1, 1]: (B,).

    Args:
        features: (B, d).
        prototypes: μ (o, d).
    """
    cosines = F.normalize(features, dim=1) @ F.normalize(prototypes, dim=1).T
    return cosines.max(dim=1).values.clamp(-1, 1)


def unlike_classification(logits: Tensor, labels: Tensor, likeness: Tensor) -> Tensor:
    """mean_i (1 − s_i) · CE(z_i, y_i): images that look like an old class count less."""
    return ((1 - likeness) * F.cross_entropy(logits, labels, reduction="none")).mean()


def like_distillation(features: Tensor, old: Tensor, likeness: Tensor) -> Tensor:
    """Σ_i s_i · ‖f_i − f_i_old‖ over the batch; it is a sum, so it grows with the batch."""
    total: Tensor = (likeness * (features - old).norm(dim=1)).sum()
    return total
