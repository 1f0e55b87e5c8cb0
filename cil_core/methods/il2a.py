"""IL2A, Zhu et al. 2021: mixed classes, and prototypes with covariances; no exemplars."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Any

import torch
import torch.nn.functional as F

from cil_core.learning.dual_augmentation import mixed_pairs, pair_count, spread_logits
from cil_core.learning.gaussians import ClassGaussians
from cil_core.learning.losses import frobenius_distance
from cil_core.learning.method import Method, RunContext
from cil_core.learning.phase import Batch, Losses, ParameterGroup, Phase, Step, Task
from cil_core.nets.heads import LinearHead
from cil_core.nets.incremental import IncrementalNet
from cil_core.spec.recipes import IL2ARecipe


class IL2A(Method):
    """Pairs of new classes are further classes during a task; old prototypes count with their spread.

    Paper: L = CE over classes and pairs / τ + λ_kd ‖Φ − Φ_old‖_F + λ_p CE(spread prototypes / τ).
    Differs: one forward pass; a step draws as many prototypes as images; covariances keep their class.
    Reports: the linear head without pairs. A mean and a covariance per class are kept.
    """

    recipe: IL2ARecipe
    net: IncrementalNet[LinearHead]
    keeps_teacher = True

    def __init__(self, recipe: Any, context: RunContext) -> None:
        super().__init__(recipe, context)
        self.gaussians = ClassGaussians(self.net.head.weight.shape[1])

    def learn(self, task: Task) -> Iterator[Phase]:
        """One phase, with rows for pairs that are dropped after it."""
        pairs = LinearHead(self.net.head.weight.shape[1]).to(self.context.device)
        pairs.grow(pair_count(task.new), self.init_generator(task, "pairs"))
        rows = ParameterGroup(pairs.parameters())
        yield self.standard_phase(task, loss=partial(self.pair_losses, pairs), groups=[rows])

    def pair_losses(self, pairs: LinearHead, batch: Batch, step: Step) -> Losses:
        """Classification of images and mixtures; from the second task on distillation and prototypes."""
        recipe, task = self.recipe, step.task
        generator = self.context.randomness.on_device("mixtures", task.index, step.iteration)
        mixtures, numbers = mixed_pairs(
            batch.x, batch.y - task.known, recipe.rounds, recipe.mix_alpha, generator
        )
        x, y = torch.cat([batch.x, mixtures]), torch.cat([batch.y, task.seen + numbers])
        features = self.net.features(x)
        logits = torch.cat([self.net.head(features), pairs(features)], dim=1)
        losses = {"classification": F.cross_entropy(logits / recipe.temperature, y)}
        if self.teacher is not None:
            distance = frobenius_distance(features, self.old_outputs(x).features)
            labels = torch.randint(task.known, (len(batch),), generator=generator, device=generator.device)
            losses["distillation"] = recipe.distillation_weight * distance
            losses["prototypes"] = recipe.prototype_weight * self.prototype_loss(labels)
        return losses

    def prototype_loss(self, labels: torch.Tensor) -> torch.Tensor:
        """Cross-entropy over all classes on spread prototypes of these classes."""
        head, (means, covariances) = self.net.head, (self.gaussians.means, self.gaussians.covariances)
        logits = spread_logits(head(means[labels]), labels, head.weight, covariances, self.recipe.ratio)
        return F.cross_entropy(logits / self.recipe.temperature, labels)

    def consolidate(self, task: Task) -> None:
        """Keep the Gaussians of the new classes."""
        self.gaussians.append(self.raw_features(task.train), task.train.labels, task.known, task.seen)


METHOD = IL2A
