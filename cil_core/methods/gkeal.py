"""GKEAL, Zhuang et al. 2023: recursive ridge regression on Gaussian similarities to features of task 1."""

from __future__ import annotations

import torch

from cil_core.data.features import FeatureDataset
from cil_core.learning.frozen import ComputedHead
from cil_core.learning.phase import Task
from cil_core.nets.analytic import KernelHead, median_distance
from cil_core.nets.heads import LinearHead, TrainedHead
from cil_core.nets.incremental import IncrementalNet
from cil_core.spec.recipes import GKEALRecipe

PAIRS = 1000
"""Pairs of features whose median distance may set σ."""


class GKEAL(ComputedHead[KernelHead]):
    """ACIL with a Gaussian kernel in the place of the random projection.

    Paper: a method for few images per class, which repeats augmented images; this one does not, like the
        official code.
    Differs: centres are drawn from all images of the first task; where it has too few, there are fewer
        centres, and no random combinations of features.
    Reports: the kernel head. R, D × D in float64, and the centres are kept and charged.
    """

    recipe: GKEALRecipe
    net: IncrementalNet[LinearHead | KernelHead]
    plain_first_task = True

    def new_head(self, trained: TrainedHead) -> KernelHead:
        """No centres yet: the first task places them."""
        head = KernelHead(trained.weight.shape[1], self.recipe.ridge)
        head.grow(trained.classes, torch.Generator())
        return head.to(trained.weight.device)

    def absorb(self, task: Task, data: FeatureDataset) -> None:
        """Place the centres in the first task, and update the regression."""
        if task.is_first:
            self.place_centres(task, data)
        for batch in data.batches(self.recipe.analytic_batch):
            self.computed_head.absorb(batch.x, batch.y)

    def place_centres(self, task: Task, data: FeatureDataset) -> None:
        """Random different images are the centres."""
        features = data.features
        chosen = torch.randperm(len(features), generator=self.init_generator(task, "centres"))
        pairs = self.init_generator(task, "pairs")
        sigma = self.recipe.sigma or median_distance(features, PAIRS, pairs)
        self.computed_head.place(features[chosen[: self.recipe.centres].to(features.device)], sigma)
        self.diagnostics["sigma"] = sigma


METHOD = GKEAL
