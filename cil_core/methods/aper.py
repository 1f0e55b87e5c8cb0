"""APER, Zhou et al. 2024: the first task tunes a pre-trained transformer; class means do the rest."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import torch.nn.functional as F
from torch import Tensor

from cil_core.learning.method import Method
from cil_core.learning.phase import Batch, Losses, Phase, Step, Task
from cil_core.learning.prototypes import mean_features
from cil_core.nets.backbones import Backbone
from cil_core.nets.tuned import TunedNet
from cil_core.spec.recipes import APERRecipe


class APER(Method):
    """Cosine classifier of class means over the features of the original and the tuned transformer.

    Paper: L = CE(σ cos(φ_tuned, w)) in the first task alone; later every row is the mean of [φ, φ_tuned].
    Differs: see the recipe.
    Reports: the cosine head. Its rows are all that is kept of classes.
    """

    recipe: APERRecipe
    net: TunedNet

    def build(self, backbone: Backbone) -> TunedNet:
        """The transformer, not yet tuned."""
        return TunedNet(backbone, self.recipe.tuning, self.recipe.size)

    def grow(self, task: Task) -> None:
        """Additions and a head to train in the first task; class means follow in every task."""
        if task.is_first:
            self.net.add_sites(self.init_generator(task, "sites"))
            super().grow(task)

    def learn(self, task: Task) -> Iterator[Phase]:
        """Tune in the first task."""
        if task.is_first:
            yield self.standard_phase(task)
            self.net.join()

    def losses(self, batch: Batch, step: Step) -> Losses:
        """Cross-entropy of scaled cosines."""
        self.net.drop_with(self.context.randomness.on_device("dropout", step.task.index, step.iteration))
        return {"classification": F.cross_entropy(self.net(batch.x).logits, batch.y)}

    def consolidate(self, task: Task) -> None:
        """The means of the new classes become rows."""
        means = mean_features(self.raw_features(task.train), task.train.labels, task.known, task.seen)
        self.net.head.append(means)
        self.net.head.requires_grad_(False)

    def match_structure(self, state: Mapping[str, Tensor]) -> None:
        """After a checkpoint the transformer is tuned."""
        super().match_structure(state)
        self.net.match_structure(state={name.removeprefix("net."): value for name, value in state.items()})
        self.net.join()


METHOD = APER
