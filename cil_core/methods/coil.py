"""COIL (co-transport), Zhou, Ye and Zhan 2021: optimal transport carries rows between old and new classes."""

from __future__ import annotations

import torch
from torch import Tensor

from cil_core.learning.classifiers import unit_means
from cil_core.learning.losses import distillation, shared_objective
from cil_core.learning.method import Method
from cil_core.learning.optimal_transport import carried_rows, class_cost, describe, transport_plan
from cil_core.learning.phase import Batch, Losses, Step, Task
from cil_core.nets.backbones import Backbone
from cil_core.nets.heads import CosineHead, cosines
from cil_core.nets.incremental import IncrementalNet
from cil_core.spec.recipes.cosine import COILRecipe


class COIL(Method):
    """(1 − λ) · CE + λ · KD_2 with a cosine head; optimal transport starts new rows and restrains old ones.

    Paper: prospective transport at the start of a task, retrospective transport during training.
    Differs: both plans have matching marginals; old means come from exemplars and new ones from this task's
        data; transported rows answer with the head's scale (`scaled_transport`), where the official code
        leaves it out, and are constants on both sides.
    Reports: the cosine head; the nearest mean of exemplars beside it; marginal error and contrast (max /
        mean) of the last plan each way.
    """

    recipe: COILRecipe
    net: IncrementalNet[CosineHead]
    keeps_teacher = True
    prospective: Tensor  # Ŵ_new (k, d), made by `grow`; within a task only, so no buffer
    retrospective: Tensor  # Ŵ_old (o, d), made every few steps

    def build(self, backbone: Backbone) -> IncrementalNet[CosineHead]:
        """A cosine head."""
        return IncrementalNet(backbone, CosineHead(backbone.feature_dim))

    def grow(self, task: Task) -> None:
        """New rows by prospective transport; in the first task there is nothing to transport."""
        if task.is_first:
            super().grow(task)
            return
        old, new = self.means(task)
        self.prospective = self.transport("prospective", old, new, self.net.head.weight)
        self.net.head.append(self.prospective)

    def means(self, task: Task) -> tuple[Tensor, Tensor]:
        """Unit means of old classes (o, d), from exemplars, and of new ones (k, d), from this task's data."""
        data = task.train + self.memory.data
        means = unit_means(self.unit_features(data), data.labels, task.seen)
        return means[: task.known], means[task.known :]

    @torch.no_grad()
    def transport(self, direction: str, source: Tensor, target: Tensor, rows: Tensor) -> Tensor:
        """Rows of the target classes, carried from those of the source classes."""
        plan = transport_plan(class_cost(source, target, self.recipe.cost_norm), self.recipe.entropy)
        self.diagnostics |= {f"{direction}_{name}": value for name, value in describe(plan).items()}
        return carried_rows(plan, rows)

    def losses(self, batch: Batch, step: Step) -> Losses:
        """The shared objective; the prospective term in epoch 0, the growing retrospective one later."""
        recipe, outputs = self.recipe, self.net(batch.x)
        if self.teacher is None:
            return shared_objective(outputs.logits, batch.y, None, recipe.temperature)
        teacher = self.old_logits(batch.x)
        losses = shared_objective(outputs.logits, batch.y, teacher, recipe.temperature)
        if step.epoch == 0:
            target = self.answers(outputs.features, self.prospective).detach()
            losses["prospective"] = recipe.prospective_weight * distillation(
                outputs.logits[:, step.task.known :], target, recipe.temperature
            )
        else:
            if step.index % recipe.transport_every == 0:
                self.transport_back(step.task)
            weight = recipe.retrospective_weight * (step.epoch / step.epochs) ** 2
            losses["retrospective"] = weight * distillation(
                self.answers(outputs.features, self.retrospective), teacher, recipe.temperature
            )
        return losses

    def transport_back(self, task: Task) -> None:
        """Rows of the old classes by retrospective transport."""
        old, new = self.means(task)
        self.retrospective = self.transport("retrospective", new, old, self.net.head.weight[task.known :])

    def answers(self, features: Tensor, rows: Tensor) -> Tensor:
        """Logits of transported rows."""
        cosine = cosines(features, rows)
        return cosine * self.net.head.scale if self.recipe.scaled_transport else cosine


METHOD = COIL
