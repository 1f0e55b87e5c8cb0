"""`ProxyHead`: a cosine head with one or more proxies per class and frozen old rows (UCIR, PODNet).

Decisions:
    * Rows of earlier tasks are a separate parameter without gradient, so that weight decay does not reach
      them either.
    * New rows are imprinted: they point along the features of the new classes and have the mean norm of old
      rows.
    * k-means runs on one thread, because sums over several threads depend on their order.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from sklearn.cluster import KMeans
from threadpoolctl import threadpool_limits
from torch import Tensor, nn

from cil_core.nets.heads import cosines, fresh_cosine_rows


class ProxyHead(nn.Module):
    """z = s · ŷ with a learnable scale s that starts at 1.

    ŷ_c is the similarity of a feature to the proxies of class c.

    Args:
        features: d, the input width.
        proxies: P, rows per class; with 1, ŷ is the similarity itself.
        distance: compare features and proxies by 2 · cos − 2, minus the squared distance of their unit
            vectors, instead of by cos.
    """

    def __init__(self, features: int, proxies: int = 1, *, distance: bool = False) -> None:
        super().__init__()
        self.proxies = proxies
        self.distance = distance
        self.old = nn.Parameter(torch.zeros(0, features), requires_grad=False)  # (o·P, d)
        self.new = nn.Parameter(torch.zeros(0, features))  # (k·P, d)
        self.scale = nn.Parameter(torch.ones(()))

    @property
    def classes(self) -> int:
        """n: classes so far."""
        return (len(self.old) + len(self.new)) // self.proxies

    def grow(self, new: int, generator: torch.Generator) -> None:
        """Freeze all rows and add fresh ones for `new` classes."""
        self.append(fresh_cosine_rows(new * self.proxies, self.new.shape[1], generator))

    def draw_normal(self, new: int, generator: torch.Generator) -> None:
        """Freeze all rows and add normal ones of variance 1/d for `new` classes (PODNet's code)."""
        rows = torch.empty(new * self.proxies, self.new.shape[1])
        self.append(rows.normal_(std=rows.shape[1] ** -0.5, generator=generator))

    def imprint(self, directions: Tensor) -> None:
        """Freeze all rows and add one along each of `directions` (k·P, d), with their mean norm."""
        self.append(F.normalize(directions, dim=1) * torch.cat([self.old, self.new]).norm(dim=1).mean())

    def append(self, rows: Tensor) -> None:
        """Freeze all rows and add the given ones (k·P, d)."""
        self.old = nn.Parameter(torch.cat([self.old, self.new]).detach(), requires_grad=False)
        self.new = nn.Parameter(rows.detach().to(self.old))

    def similarities(self, features: Tensor) -> Tensor:
        """ŷ (B, n): each class's similarities, averaged with their softmax as weights."""
        similarity = cosines(features, torch.cat([self.old, self.new])).view(len(features), -1, self.proxies)
        if self.distance:
            similarity = 2 * similarity - 2
        return (similarity.softmax(dim=2) * similarity).sum(dim=2)

    def forward(self, features: Tensor) -> Tensor:
        """Logits (B, n) of features (B, d)."""
        return self.scale * self.similarities(features)


def proxy_directions(features: Tensor, labels: Tensor, proxies: int, generator: torch.Generator) -> Tensor:
    """Directions of new proxies: centres of `proxies` k-means clusters of each class's features (PODNet).

    Args:
        features: unit rows (N, d).
        labels: (N,).
        proxies: P; a class with fewer images uses its images as centres, in turn.
        generator: a CPU generator that seeds k-means.

    Returns:
        (k·P, d), in ascending order of labels.
    """
    every = torch.arange(proxies, device=features.device)
    directions = []
    for label in torch.nonzero(torch.bincount(labels)).flatten().tolist():
        centres = _cluster_centres(
            features[labels == label], proxies, int(torch.randint(2**31, (), generator=generator))
        )
        directions.append(centres[every % len(centres)])
    return torch.cat(directions)


def _cluster_centres(features: Tensor, clusters: int, seed: int) -> Tensor:
    with threadpool_limits(limits=1):
        found = KMeans(min(clusters, len(features)), n_init=10, random_state=seed).fit(features.cpu().numpy())
    return torch.from_numpy(found.cluster_centers_).to(features)
