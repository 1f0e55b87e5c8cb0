"""AdaGauss, Rypeść et al. 2024: Gaussians of old classes are carried into the new feature space."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

import torch
import torch.nn.functional as F

from cil_core.data.features import FeatureDataset
from cil_core.learning.classifiers import Classifier, FeatureScores
from cil_core.learning.collapse import anti_collapse
from cil_core.learning.feature_pairs import feature_pairs
from cil_core.learning.gaussians import Sampler, carried
from cil_core.learning.method import Method
from cil_core.learning.moments import class_covariances, class_moments
from cil_core.learning.phase import Batch, Losses, ParameterGroup, Phase, Step, Task
from cil_core.nets.backbones import Backbone
from cil_core.nets.bottleneck import BottleneckNet
from cil_core.nets.heads import LinearHead
from cil_core.nets.perceptron import Affine, Perceptron
from cil_core.nets.rotation import TURNS, rotated, rotated_labels
from cil_core.spec.recipes import AdaGaussRecipe


class AdaGauss(Method):
    """L = CE of a task head + λ · MSE(q(f), f_old) + α · L_AC, which keeps features from collapsing.

    Paper: after each task an adapter learns f_old → f; draws of old Gaussians pass it and give new ones.
    Differs: the adapter learns from unaugmented pairs; a batch of no more than S features has no L_AC.
    Reports: the nearest Gaussian. A mean and a covariance per class are kept, no task head.
    """

    recipe: AdaGaussRecipe
    net: BottleneckNet
    keeps_teacher = True

    def build(self, backbone: Backbone) -> BottleneckNet:
        """A backbone with a narrow feature space."""
        generator = self.context.randomness.on_cpu("bottleneck")
        return BottleneckNet(backbone, self.recipe.width, self.recipe.shrinkage, generator)

    def classifier(self, name: str) -> Classifier:
        """The Gaussians."""
        return FeatureScores(name, lambda: self.net.head)

    def learn(self, task: Task) -> Iterator[Phase]:
        """The network with a fresh task head and distiller; then the adapter."""
        head = LinearHead(self.recipe.width).to(self.context.device)
        head.grow(TURNS * task.new if self.turns(task) else task.new, self.init_generator(task))
        distiller = self.perceptron(task, "distiller")
        yield self.standard_phase(
            task,
            loss=partial(self.task_losses, head, distiller),
            groups=[ParameterGroup([*head.parameters(), *distiller.parameters()])],
        )
        if not task.is_first:
            yield from self.adapt(task)

    def turns(self, task: Task) -> bool:
        """Whether the task classifies turned images too."""
        return self.recipe.rotation and task.is_first

    def perceptron(self, task: Task, purpose: str) -> Perceptron:
        """A fresh map between feature spaces."""
        width, generator = self.recipe.width, self.init_generator(task, purpose)
        return Perceptron(width, self.recipe.hidden_factor * width, generator).to(self.context.device)

    def task_losses(self, head: LinearHead, distiller: Perceptron, batch: Batch, step: Step) -> Losses:
        """Classification by the task head, distillation through q, and the loss against collapse."""
        recipe, x, y = self.recipe, batch.x, batch.y - step.task.known
        if self.turns(step.task):
            x, y = rotated(x), rotated_labels(y)
        features = self.net.features(x)
        if step.epoch < round(recipe.detached_share * step.epochs):
            features = features.detach()
        losses = {
            "classification": F.cross_entropy(head(features), y),
            "collapse": recipe.collapse_weight * anti_collapse(features, recipe.beta),
        }
        if self.teacher is not None:
            with torch.no_grad():
                target = self.old_net.features(x)
            losses["distillation"] = recipe.distillation_weight * F.mse_loss(distiller(features), target)
        return losses

    def adapt(self, task: Task) -> Iterator[Phase]:
        """Train the adapter on pairs and carry the old Gaussians over."""
        pairs, recipe = feature_pairs(self.old_net, self.net, task.train), self.recipe
        adapter: Perceptron | Affine = self.perceptron(task, "adapter")
        if recipe.adapter == "linear":
            adapter = Affine(recipe.width, recipe.width, self.init_generator(task, "adapter"))
            adapter = adapter.to(self.context.device)

        def loss(batch: Batch, step: Step) -> Losses:  # noqa: ARG001 - every loss of a phase takes the step
            moved = adapter(batch.x)
            return {
                "adapter": F.mse_loss(moved, pairs.new[batch.index]),
                "collapse": recipe.collapse_weight * anti_collapse(moved, recipe.beta),
            }

        data = FeatureDataset(pairs.old, task.train.labels)
        yield Phase("adapter", data, loss, recipe.adaptation, adapter)
        head, old = self.net.head, slice(task.known)
        sampler = Sampler(head.means[old], head.covariances[old])
        self.diagnostics["jitter"] = float(sampler.jitters.max())
        generator = self.context.randomness.on_device("carry", task.index)
        head.means[old], head.covariances[old] = carried(sampler, adapter, recipe.draws, generator)

    def consolidate(self, task: Task) -> None:
        """The Gaussians of the new classes, over images and their mirror images."""
        features = torch.cat([self.raw_features(task.train), self.raw_features(task.train.flipped())])
        labels = task.train.labels.repeat(2)
        means = class_moments(features, labels, task.known, task.seen).means
        self.net.head.means[task.known :] = means.float()
        spread = class_covariances(features, labels, task.known, task.seen)
        self.net.head.covariances[task.known :] = spread.float()


METHOD = AdaGauss
