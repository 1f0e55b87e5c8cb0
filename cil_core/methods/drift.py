"""LwF with prototypes that follow the backbone's drift: SDC 2020, ADC 2024, LDC 2024, DPCR 2025."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from cil_core.learning import drift
from cil_core.learning.classifiers import Classifier, FeatureScores
from cil_core.learning.feature_pairs import FeaturePairs, feature_pairs
from cil_core.learning.losses import slice_distillation
from cil_core.learning.method import Method, RunContext
from cil_core.learning.moments import Moments, class_moments
from cil_core.learning.phase import Batch, Losses, Phase, Step, Task
from cil_core.nets.backbones import Backbone
from cil_core.nets.heads import CosineHead
from cil_core.nets.incremental import IncrementalNet
from cil_core.spec.recipes import DriftRecipe


class Drift(Method):
    """L = CE over the new classes + λ · KD_2 over the old ones; then every old prototype moves.

    Paper: SDC, ADC and LDC classify by the nearest mean, DPCR by a ridge regression from class moments.
    Differs: features are pairs of the same image; see the recipe for what else the public codes do.
    Reports: the prototypes, then the cosine head. A mean per class is kept, for DPCR a d × d moment as well.
    """

    recipe: DriftRecipe
    net: IncrementalNet[CosineHead]
    keeps_teacher = True
    counts: Tensor
    means: Tensor
    seconds: Tensor

    def __init__(self, recipe: Any, context: RunContext) -> None:
        super().__init__(recipe, context)
        width = self.net.head.weight.shape[1]
        self.register_buffer("counts", torch.zeros(0, dtype=torch.long))
        self.register_buffer("means", torch.zeros(0, width))
        self.register_buffer("seconds", torch.zeros(0, width, width))

    def build(self, backbone: Backbone) -> IncrementalNet[CosineHead]:
        """A backbone with a cosine head, on features after the final ReLU."""
        return IncrementalNet(backbone, CosineHead(backbone.feature_dim))

    def learn(self, task: Task) -> Iterator[Phase]:
        """Training, then the move of old prototypes, for which LDC trains a map."""
        recipe = self.recipe
        extra = ("autoaugment",) if recipe.augmentation == "autoaugment" else ()
        yield self.standard_phase(task, data=task.train.augmented_by(*self.transform.tokens, *extra))
        if task.is_first or recipe.compensation == "none":
            return
        pairs = feature_pairs(self.old_net, self.net, task.train)
        if recipe.compensation == "ldc" and recipe.solver == "trained":
            fit = drift.LinearFit(pairs, self.init_generator(task, "map"))
            yield Phase("map", fit.data, fit.loss, recipe.mapping, fit.model)
            self.means = self.means @ fit.model.weight.detach().T
        else:
            getattr(self, f"move_by_{recipe.compensation}")(pairs, task)

    def losses(self, batch: Batch, step: Step) -> Losses:
        """Classification, and from the second task on distillation."""
        recipe, logits = self.recipe, self.net(batch.x).logits
        teacher = None if self.teacher is None else self.old_logits(batch.x)
        known, weight = step.task.known, recipe.distillation_weight
        return slice_distillation(logits, batch.y, known, teacher, recipe.temperature, weight)

    def move_by_sdc(self, pairs: FeaturePairs, task: Task) -> None:  # noqa: ARG002 - as ADC's
        """By the drift of new images near each prototype."""
        near = pairs.unit() if self.unit_space else pairs
        self.means = self.means + drift.weighted_drift(near, self.means, self.recipe.sigma).float()

    def move_by_adc(self, pairs: FeaturePairs, task: Task) -> None:
        """By the drift of new images that the old network takes for the old class."""
        attack = drift.Attack(self.recipe.nearest, self.recipe.attack_steps, self.recipe.attack_step)
        moved, failed = drift.adversarial_drift(
            (self.old_net, self.net), task.train, pairs.old, self.means, attack
        )
        self.diagnostics["failed_attacks"] = float(failed)
        self.means = self.means + moved

    def move_by_ldc(self, pairs: FeaturePairs, task: Task) -> None:  # noqa: ARG002 - as ADC's
        """By least squares, as `solver="exact"` says."""
        self.means = (self.means.double() @ drift.linear_map(pairs, self.recipe.ridge_map)).float()

    def move_by_dpcr(self, pairs: FeaturePairs, task: Task) -> None:  # noqa: ARG002 - as ADC's
        """Means and second moments by least squares."""
        mapping = drift.linear_map(pairs, self.recipe.ridge_map)
        moved = drift.mapped(self.moments, mapping, self.recipe.projection_rank)
        self.means, self.seconds = moved.means.float(), moved.seconds.float()

    def consolidate(self, task: Task) -> None:
        """Keep the moments of the new classes."""
        features = self.unit_features(task.train) if self.unit_space else self.raw_features(task.train)
        new = class_moments(features, task.train.labels, task.known, task.seen)
        self.counts = torch.cat([self.counts, new.counts])
        self.means = torch.cat([self.means, new.means.float()])
        if self.unit_space:
            self.means = F.normalize(self.means, dim=1)
        if self.recipe.compensation == "dpcr":
            self.seconds = torch.cat([self.seconds, new.seconds.float()])

    @property
    def moments(self) -> Moments:
        """What is kept of the classes so far."""
        return Moments(self.counts, self.means, self.seconds)

    @property
    def unit_space(self) -> bool:
        """Whether prototypes are means of unit features."""
        return self.recipe.compensation == "sdc" and self.recipe.sdc_space == "unit"

    def classifier(self, name: str) -> Classifier:
        """The head, or the prototypes."""
        return FeatureScores(name, self.scores) if name == "prototype" else super().classifier(name)

    def scores(self) -> Callable[[Tensor], Tensor]:
        """f · w_c with unit rows: DPCR's regression, or the means, which is their nearest by angle."""
        rows = F.normalize(self.means, dim=1)
        if self.recipe.compensation == "dpcr":
            rows = drift.ridge_rows(self.moments, self.recipe.ridge).float()
        return lambda features: features @ rows.T


METHOD = Drift
