"""EFC, Magistri et al. 2024, and EFC++: features move freely only where the classifier does not look."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import partial
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from cil_core.data.features import FeatureDataset
from cil_core.learning.elastic import (
    elastic_drift,
    elastic_penalty,
    feature_matrix,
    mixed_counts,
    old_draws,
)
from cil_core.learning.feature_pairs import feature_pairs
from cil_core.learning.gaussians import ClassGaussians, Sampler
from cil_core.learning.losses import slice_cross_entropy
from cil_core.learning.method import Method, RunContext
from cil_core.learning.phase import Batch, Losses, ParameterGroup, Phase, Step, Task
from cil_core.nets.backbones import Backbone
from cil_core.nets.heads import LinearHead
from cil_core.nets.incremental import IncrementalNet, freeze_batch_norm
from cil_core.nets.rotation import EXTRA_TURNS, extra_turn_labels, rotated
from cil_core.spec.recipes import EFCRecipe


class EFC(Method):
    """L = CE over the new classes + mean Δᵀ (λE + ηI) Δ + CE over all classes on Gaussian draws and images.

    Paper: after each task means of old classes move by the drift of near images, E and Gaussians follow.
    Differs: E, means and covariances come from all images without augmentation. EFC++ (`rehearsal="after"`)
        trains all head rows on draws after the backbone, instead of during its training.
    Reports: the linear head. E, and a mean and a covariance per class, are kept.
    """

    recipe: EFCRecipe
    net: IncrementalNet[LinearHead]
    keeps_teacher = True
    matrix: Tensor
    last_batch: Batch | None = None

    def __init__(self, recipe: Any, context: RunContext) -> None:
        super().__init__(recipe, context)
        width = self.net.head.weight.shape[1]
        self.gaussians = ClassGaussians(width)
        self.register_buffer("matrix", torch.zeros(width, width))

    def build(self, backbone: Backbone) -> IncrementalNet[LinearHead]:
        """A backbone with a linear head without bias."""
        return IncrementalNet(backbone, LinearHead(backbone.feature_dim, bias=False))

    def learn(self, task: Task) -> Iterator[Phase]:
        """Training; from the second task on in evaluation mode, and then the move of old Gaussians."""
        if task.is_first:
            yield from self.learn_first(task)
            return
        self.net.eval()
        self.sampler = self.fresh_sampler()
        body = [parameter for parameter in self.net.backbone.parameters() if parameter.requires_grad]
        yield self.standard_phase(
            task,
            loss=self.later_losses,
            model=self.net.head,
            groups=[ParameterGroup(body, lr_factor=self.recipe.backbone_factor)],
            after_step=self.after_step,
        )
        pairs = feature_pairs(self.old_net, self.net, task.train)
        drift = elastic_drift(pairs, self.gaussians.means, self.matrix, self.recipe.sigma)
        self.gaussians.replace(self.gaussians.means + drift.float(), self.gaussians.covariances)
        if self.recipe.rehearsal == "after":
            self.sampler = self.fresh_sampler()
            real = FeatureDataset(pairs.new, task.train.labels)
            yield Phase("balance", real, self.balance_loss, self.recipe.balancing, self.net.head)

    def learn_first(self, task: Task) -> Iterator[Phase]:
        """Cross-entropy over classes and, for turned images, three more rows per class."""
        if self.recipe.rotation:
            turns = LinearHead(self.net.head.weight.shape[1]).to(self.context.device)
            turns.grow(EXTRA_TURNS * task.new, self.init_generator(task, "turns"))
            rows = ParameterGroup(turns.parameters())
            yield self.standard_phase(task, loss=partial(self.turned_losses, turns), groups=[rows])
        else:
            yield self.standard_phase(task)
        freeze_batch_norm(self.net)

    def turned_losses(self, turns: LinearHead, batch: Batch, step: Step) -> Losses:
        """The first task's, with the rows of turned classes in a head of their own."""
        features = self.net.features(rotated(batch.x))
        logits = torch.cat([self.net.head(features), turns(features)], dim=1)
        return {"classification": F.cross_entropy(logits, extra_turn_labels(batch.y, step.task.seen))}

    def later_losses(self, batch: Batch, step: Step) -> Losses:
        """New classes, penalty and, unless it follows the training, rehearsal."""
        recipe, outputs = self.recipe, self.net(batch.x)
        moved = outputs.features - self.old_outputs(batch.x).features
        losses = {
            "classification": slice_cross_entropy(outputs.logits, batch.y, step.task.known),
            "penalty": elastic_penalty(moved, self.matrix, recipe.weight, recipe.damping),
        }
        if recipe.rehearsal == "during":
            losses["rehearsal"] = F.cross_entropy(*self.mixed_batch(step))
        return losses

    def mixed_batch(self, step: Step) -> tuple[Tensor, Tensor]:
        """Logits and labels of draws of old classes and images of the last batch."""
        size, generator = self.recipe.mixed_batch, self.generator("rehearsal", step)
        last = self.last_batch if step.index else None
        images = 0 if last is None else len(last)
        count = mixed_counts(step.task.known, step.task.seen, size, images, generator)
        features, labels = old_draws(self.sampler, step.task.known, count, generator)
        if last is not None and count < size:
            chosen = torch.randperm(images, generator=generator, device=generator.device)[: size - count]
            features = torch.cat([features, self.net.features(last.x[chosen])])
            labels = torch.cat([labels, last.y[chosen]])
        return self.net.head(features), labels

    def after_step(self, batch: Batch, step: Step) -> None:
        """Remember the images; in EFC++, put old rows back, which weight decay has moved."""
        self.last_batch = batch
        if self.recipe.rehearsal == "after" and self.teacher is not None:
            with torch.no_grad():
                self.net.head.weight[: step.task.known] = self.teacher.get_parameter("head.weight")

    def balance_loss(self, batch: Batch, step: Step) -> Losses:
        """Cross-entropy over all classes on new features and as many draws of old classes."""
        generator = self.generator("balance", step)
        features, labels = old_draws(self.sampler, step.task.known, len(batch), generator)
        logits = self.net.head(torch.cat([batch.x, features]))
        return {"balance": F.cross_entropy(logits, torch.cat([batch.y, labels]))}

    def generator(self, purpose: str, step: Step) -> torch.Generator:
        """What a step draws from."""
        return self.context.randomness.on_device(purpose, step.task.index, step.iteration)

    def fresh_sampler(self) -> Sampler:
        """Draws from the Gaussians of now."""
        sampler = self.gaussians.sampler()
        self.diagnostics["jitter"] = float(sampler.jitters.max())
        return sampler

    def consolidate(self, task: Task) -> None:
        """E of the new network, and the Gaussians of the new classes."""
        features = self.raw_features(task.train)
        self.matrix = feature_matrix(features, self.net.head.weight).float()
        self.gaussians.append(features, task.train.labels, task.known, task.seen)
        self.last_batch = None

    def match_structure(self, state: Mapping[str, Tensor]) -> None:
        """After a checkpoint, batch norm is fixed."""
        super().match_structure(state)
        freeze_batch_norm(self.net)


METHOD = EFC
