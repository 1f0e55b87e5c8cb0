"""PASS, Zhu et al. 2021: noisy prototypes of old classes, rotations as labels, distillation; no exemplars."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from cil_core.learning.losses import frobenius_distance
from cil_core.learning.method import Method, RunContext
from cil_core.learning.phase import Batch, Losses, Step, Task
from cil_core.learning.prototypes import mean_features, spreads
from cil_core.nets.backbones import Backbone
from cil_core.nets.incremental import IncrementalNet
from cil_core.nets.rotation import TURNS, RotationHead, rotated, rotated_labels
from cil_core.spec.recipes import PASSRecipe


class PASS(Method):
    """Every class becomes four, one per quarter turn; prototypes plus Gaussian noise rehearse old classes.

    Paper: L = CE(z / τ) + λ_kd ‖Φ − Φ_old‖_F over the batch + λ_p CE(prototypes with noise / τ), on the new
        data only.
    Differs: prototypes and their spread are taken without augmentation, over all images; a step draws as many
        prototypes as images. `radius="seen"` averages the spread over all classes so far (PyCIL) instead of
        the first task's (paper). The backbone is the track's.
    Reports: the unturned outputs of the linear head. One prototype and one spread are kept per class.
    """

    recipe: PASSRecipe
    net: IncrementalNet[RotationHead]
    keeps_teacher = True
    prototypes: Tensor
    spreads: Tensor

    def __init__(self, recipe: Any, context: RunContext) -> None:
        super().__init__(recipe, context)
        self.register_buffer("prototypes", torch.zeros(0, self.net.head.weight.shape[1]))
        self.register_buffer("spreads", torch.zeros(0))

    def build(self, backbone: Backbone) -> IncrementalNet[RotationHead]:
        """A backbone with four outputs per class."""
        return IncrementalNet(backbone, RotationHead(backbone.feature_dim))

    def losses(self, batch: Batch, step: Step) -> Losses:
        """Classification of rotated images; from the second task on distillation and prototypes."""
        x, y = rotated(batch.x), rotated_labels(batch.y)
        features = self.net.features(x)
        losses = {"classification": self.classification(features, y)}
        if self.teacher is not None:
            made_up, labels = self.noisy_prototypes(len(batch), step)
            losses["distillation"] = self.recipe.distillation_weight * frobenius_distance(
                features, self.old_outputs(x).features
            )
            losses["prototypes"] = self.recipe.prototype_weight * self.classification(made_up, labels)
        return losses

    def classification(self, features: Tensor, labels: Tensor) -> Tensor:
        """Cross-entropy over all classes in all turns, with temperature."""
        return F.cross_entropy(self.net.head.joint(features) / self.recipe.temperature, labels)

    def noisy_prototypes(self, count: int, step: Step) -> tuple[Tensor, Tensor]:
        """Features μ_c + r ε of random old classes, (count, d), and their labels 4c."""
        generator = self.context.randomness.on_device("prototypes", step.task.index, step.iteration)
        classes = torch.randint(step.task.known, (count,), generator=generator, device=generator.device)
        noise = torch.randn(count, self.prototypes.shape[1], generator=generator, device=generator.device)
        return self.prototypes[classes] + self.radius() * noise, TURNS * classes

    def radius(self) -> Tensor:
        """r: root of the mean spread of the classes the recipe says."""
        counted = self.context.task_sizes[0] if self.recipe.radius == "first" else len(self.spreads)
        return self.spreads[:counted].mean().sqrt()

    def consolidate(self, task: Task) -> None:
        """Keep prototype and spread of the new classes."""
        features, labels = self.raw_features(task.train), task.train.labels
        self.prototypes = torch.cat([self.prototypes, mean_features(features, labels, task.known, task.seen)])
        self.spreads = torch.cat([self.spreads, spreads(features, labels, task.known, task.seen)])


METHOD = PASS
