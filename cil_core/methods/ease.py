"""EASE, Zhou et al. 2024: a subspace per task, and class means in all of them."""

from __future__ import annotations

from collections.abc import Iterator

import torch.nn.functional as F

from cil_core.learning.method import Method
from cil_core.learning.phase import Batch, Losses, Phase, Step, Task
from cil_core.learning.prototypes import mean_features
from cil_core.nets.backbones import Backbone
from cil_core.nets.heads import CosineHead
from cil_core.nets.subspaces import EaseNet
from cil_core.spec.recipes import EASERecipe


class EASE(Method):
    """Every task trains adapters of its own with a cosine head that is then thrown away.

    Paper: L = CE(σ cos(φ_t, w)) over the new classes; prototypes of old classes in new subspaces are
        synthesised from similar new ones.
    Differs: see the recipe.
    Reports: the weighted cosines to the class means in all subspaces.
    """

    recipe: EASERecipe
    net: EaseNet

    def build(self, backbone: Backbone) -> EaseNet:
        """A transformer without adapters."""
        return EaseNet(backbone, self.recipe.rank, self.recipe.others, self.recipe.plain)

    def grow(self, task: Task) -> None:
        """Fresh adapters, and a head for the new classes alone."""
        self.net.head = CosineHead(self.net.head.weight.shape[1]).to(self.context.device)
        self.net.add_sites(self.init_generator(task, "sites"))
        super().grow(task)

    def learn(self, task: Task) -> Iterator[Phase]:
        """Train the adapters; then the head has no further use."""
        yield self.standard_phase(task)
        self.net.head = CosineHead(self.net.head.weight.shape[1]).to(self.context.device)

    def losses(self, batch: Batch, step: Step) -> Losses:
        """Cross-entropy of scaled cosines over the new classes."""
        self.net.drop_with(self.context.randomness.on_device("dropout", step.task.index, step.iteration))
        logits = self.net.head(self.net.newest(batch.x))
        return {"classification": F.cross_entropy(logits, batch.y - step.task.known)}

    def consolidate(self, task: Task) -> None:
        """Class means of the new classes in every subspace."""
        means = mean_features(self.raw_features(task.train), task.train.labels, task.known, task.seen)
        self.net.remember(means.unflatten(1, (-1, self.net.prototypes.shape[2])))


METHOD = EASE
