"""FeCAM, Goswami et al. 2023: Mahalanobis distances to class means of a frozen extractor."""

from __future__ import annotations

from typing import Any

from cil_core.data.features import FeatureDataset
from cil_core.learning.frozen import ComputedHead
from cil_core.learning.moments import class_covariances, class_moments
from cil_core.learning.phase import Phase, Task
from cil_core.nets.backbones import Backbone
from cil_core.nets.heads import CosineHead, TrainedHead
from cil_core.nets.incremental import IncrementalNet
from cil_core.nets.mahalanobis import MahalanobisHead, correlation_factors
from cil_core.spec.recipes import FeCAMRecipe


class FeCAM(ComputedHead[MahalanobisHead]):
    """Each class is described once, by its mean and the shrunk correlation matrix of its features.

    Paper: the extractor trains on the first task with a cosine head, or is pre-trained and never trains.
    Differs: classes of the first task are described like all others; the official code classifies that task
        by the cosine head. Matrices are factored once, where the official code inverts them at every batch.
    Reports: the distances. Mean and factor of every class are kept and charged: 4 d² bytes a class.
    """

    recipe: FeCAMRecipe
    net: IncrementalNet[CosineHead | MahalanobisHead]

    def build(self, backbone: Backbone) -> IncrementalNet[CosineHead | MahalanobisHead]:
        """A backbone with a cosine head, which trains it and is then replaced."""
        return IncrementalNet(backbone, CosineHead(backbone.feature_dim))

    def new_head(self, trained: TrainedHead) -> MahalanobisHead:
        """No class is described yet."""
        return MahalanobisHead.replacing(trained, self.recipe.exponent)

    def standard_phase(self, task: Task, **changes: Any) -> Phase:
        """The first task's training, with the augmentation of the recipe."""
        extra = ("autoaugment",) if self.recipe.augmentation == "autoaugment" else ()
        data = task.train.augmented_by(*self.context.dataset.augment, *extra)
        return super().standard_phase(task, data=data, **changes)

    def absorb(self, task: Task, data: FeatureDataset) -> None:
        """Describe the new classes."""
        recipe, head, features = self.recipe, self.computed_head, data.features
        classes = (data.labels, task.known, task.seen)
        if recipe.form == "unit":
            points = head.unit(features.double())
            means = class_moments(points, *classes).means
        else:
            points = features.double() ** recipe.exponent
            means = head.unit(class_moments(features, *classes).means)
        factors, indefinite = correlation_factors(
            class_covariances(points, *classes),
            recipe.variance_shrinkage,
            recipe.covariance_shrinkage,
            recipe.shrinks,
        )
        head.describe(task.known, means, factors)
        self.diagnostics["classes_shrunk_by_variance_alone"] = float(indefinite.sum())


METHOD = FeCAM
