"""Networks with one set of adapters per task, each a feature subspace: `EaseNet` and `MosNet`."""

from __future__ import annotations

from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor

from cil_core.nets.backbones import Backbone
from cil_core.nets.heads import CosineHead, cosines
from cil_core.nets.incremental import H, Outputs
from cil_core.nets.sited import SitedNet
from cil_core.nets.sites import Adapters
from cil_core.nets.task_head import TaskHead


class SubspaceNet(SitedNet[H]):
    """A transformer that is passed once per set of adapters.

    Args:
        backbone: with the transformer.
        head: grows with the classes.
        rank: r of the adapters.

    Attributes:
        tasks: the task of every class (n,).
    """

    tasks: Tensor

    def __init__(self, backbone: Backbone, head: H, rank: int) -> None:
        super().__init__(backbone, head, lambda shape, generator: Adapters(shape, rank, generator))
        self.register_buffer("tasks", torch.zeros(0, dtype=torch.long))

    @property
    def adapters(self) -> list[Adapters]:
        """One set per task."""
        return [cast("Adapters", adapters) for adapters in self.sites]

    def newest(self, x: Tensor) -> Tensor:
        """Features (B, d) in the newest subspace."""
        return self.embed(x, self.adapters[-1])

    def subspaces(self, x: Tensor) -> Tensor:
        """Features in every subspace (B, tasks, d)."""
        return torch.stack([self.embed(x, adapters) for adapters in self.adapters], dim=1)

    def features(self, x: Tensor) -> Tensor:
        """Features in every subspace, side by side (B, tasks · d)."""
        return self.subspaces(x).flatten(1)

    def grow(self, new: int, generator: torch.Generator) -> None:
        """Assign `new` classes to the newest task, and add rows to the head."""
        super().grow(new, generator)
        self.tasks = torch.cat([self.tasks, self.tasks.new_full((new,), len(self.sites) - 1)])

    @property
    def classes(self) -> int:
        """Classes with a task."""
        return len(self.tasks)


class EaseNet(SubspaceNet[CosineHead]):
    """Class means in every subspace are the classifier (EASE, Zhou et al. 2024).

    Args:
        backbone: with the transformer.
        rank: r of the adapters.
        others: α, weight of the subspaces of other tasks.
        plain: β, weight of the transformer without adapters; 0 for none.

    Attributes:
        prototypes: mean feature of every class in every subspace (n, tasks, d); the last subspace is the
            plain transformer's if it has a weight.
    """

    prototypes: Tensor

    def __init__(self, backbone: Backbone, rank: int, others: float, plain: float) -> None:
        super().__init__(backbone, CosineHead(backbone.feature_dim), rank)
        self.others, self.plain = others, plain
        self.register_buffer("prototypes", torch.zeros(0, 0, backbone.feature_dim))

    def subspaces(self, x: Tensor) -> Tensor:
        """Features in every subspace (B, tasks, d), followed by the plain ones if they have a weight."""
        found = super().subspaces(x)
        return torch.cat([found, self.embed(x)[:, None]], dim=1) if self.plain else found

    def forward(self, x: Tensor) -> Outputs:
        """Weighted sums of cosines to the class means of every subspace."""
        features = self.subspaces(x)
        scores = torch.einsum(
            "btd,ntd->bnt", F.normalize(features, dim=2), F.normalize(self.prototypes, dim=2)
        )
        return Outputs((scores * self.weights()).sum(dim=2), features.flatten(1))

    def weights(self) -> Tensor:
        """Weight of every subspace for every class (n, tasks): 1 for its own, α / t for the t others."""
        count = len(self.sites)
        own = F.one_hot(self.tasks, count).to(self.prototypes)
        weights = own + (1 - own) * self.others / max(1, count - 1)
        return F.pad(weights, (0, 1), value=self.plain) if self.plain else weights

    def remember(self, means: Tensor) -> None:
        """Add class means of the newest task (k, tasks, d), and synthesise missing ones of old classes."""
        known, count = len(self.prototypes), len(self.sites)
        old = self.prototypes.new_zeros(known, *means.shape[1:])
        if known:
            old[:, : count - 1] = self.prototypes[:, : count - 1]
            if self.plain:
                old[:, -1] = self.prototypes[:, -1]
        self.prototypes = synthesised(torch.cat([old, means.to(old)]), self.tasks)


def synthesised(prototypes: Tensor, tasks: Tensor) -> Tensor:
    """Prototypes whose blocks of old classes in later subspaces come from similar later classes.

    A class of task i receives, in subspace j > i, the mean of the prototypes there of all classes from task
    j on, weighted by the softmax of their similarity to it in subspace i.

    Args:
        prototypes: (n, tasks or more, d); real where a class is at least as late as the subspace.
        tasks: of every class (n,).
    """
    made = prototypes.clone()
    last = int(tasks.max())
    for later in range(1, last + 1):
        donors = prototypes[tasks >= later]  # real in all subspaces up to `later`
        for earlier in range(later):
            members = tasks == earlier
            similarity = cosines(prototypes[members, earlier], donors[:, earlier])
            made[members, later] = similarity.softmax(dim=1) @ donors[:, later]
    return made


class MosNet(SubspaceNet[TaskHead]):
    """A linear head on the adapters that an image finds, and a vote of class means (MOS, Sun et al. 2025).

    Args:
        backbone: with the transformer.
        rank: r of the adapters.

    Attributes:
        prototypes: mean feature of every class with the first adapters (n, d).
    """

    prototypes: Tensor

    def __init__(self, backbone: Backbone, rank: int) -> None:
        super().__init__(backbone, TaskHead(backbone.feature_dim), rank)
        self.register_buffer("prototypes", torch.zeros(0, backbone.feature_dim))

    def forward(self, x: Tensor) -> Outputs:
        """The sum of two probabilities: of the linear head, and of cosines to the class means."""
        features = self.subspaces(x)
        similar = cosines(features[:, 0], self.prototypes)
        logits = self.refined(features, self.tasks[similar.argmax(dim=1)])
        votes = (len(self.sites) * similar).softmax(dim=1)
        return Outputs(logits.softmax(dim=1) + votes, features.flatten(1))

    def refined(self, features: Tensor, start: Tensor) -> Tensor:
        """Logits (B, n) with the adapters of the task that they name themselves.

        The head reads the features of a task, then those of the task of its answer, at most four times. An
        image whose answer names the task it was read with stays there.

        Args:
            features: in every subspace (B, tasks, d).
            start: the first task of each image (B,).
        """
        chosen = start
        for attempt in range(ATTEMPTS):
            logits: Tensor = self.head(features[torch.arange(len(features), device=features.device), chosen])
            if attempt < ATTEMPTS - 1:
                chosen = self.tasks[logits.argmax(dim=1)]
        return logits


ATTEMPTS = 4
"""Evaluations of the head in MOS."""
