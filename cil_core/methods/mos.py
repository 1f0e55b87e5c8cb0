"""MOS, Sun et al. 2025: adapters stay near their predecessors, and images find theirs by iterating."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from cil_core.learning.alignment import DrawnFeatures
from cil_core.learning.gaussians import ClassGaussians
from cil_core.learning.method import Method, RunContext
from cil_core.learning.phase import Batch, Losses, ParameterGroup, Phase, Step, Task
from cil_core.learning.prototypes import mean_features
from cil_core.nets.backbones import Backbone
from cil_core.nets.sites.adapter import blend
from cil_core.nets.subspaces import MosNet
from cil_core.spec.recipes import MOSRecipe

TEMPERATURE = 0.8


class MOS(Method):
    """Adapters continue from task to task; a copy stays behind for every task.

    Paper: L = CE over the new classes + λ CE(R Rᵀ / 0.8, identity), R the class means and the batch's
        features; after each step the adapters move towards the mean of the earlier ones; features drawn
        from class Gaussians align the head.
    Differs: see the recipe.
    Reports: the sum of the linear head's and the class means' probabilities.
    """

    recipe: MOSRecipe
    net: MosNet

    def __init__(self, recipe: Any, context: RunContext) -> None:
        super().__init__(recipe, context)
        self.gaussians = ClassGaussians(self.net.backbone.feature_dim)

    def build(self, backbone: Backbone) -> MosNet:
        """A transformer without adapters."""
        return MosNet(backbone, self.recipe.rank)

    def grow(self, task: Task) -> None:
        """Adapters that begin as the last ones, and rows of the head."""
        new = self.net.add_sites(self.init_generator(task, "sites"))
        if not task.is_first:
            new.load_state_dict(self.net.adapters[-2].state_dict())
        super().grow(task)

    def learn(self, task: Task) -> Iterator[Phase]:
        """Train adapters and head; then align the head, from the second task on."""
        head = [parameter for parameter in self.net.head.parameters() if parameter.requires_grad]
        groups = (ParameterGroup(head, lr_factor=self.recipe.head_rate),)
        yield self.standard_phase(task, groups=groups, after_step=self.merge)
        if self.recipe.stored == "mean" and not task.is_first:
            blend(self.net.adapters[-1], self.net.adapters[:-1], 1.0)
        features = self.features_with(task, -1)
        self.gaussians.append(features, task.train.labels, task.known, task.seen)
        first = self.features_with(task, 0)
        means = mean_features(first, task.train.labels, task.known, task.seen)
        self.net.prototypes = torch.cat([self.net.prototypes, means])
        if not task.is_first:
            self.net.head.unlock(everything=True)
            data = DrawnFeatures(self.gaussians.sampler(jitter=1e-4), 5 * self.recipe.later_tasks.batch_size)
            yield Phase("alignment", data, self.alignment, self.recipe.alignment, self.net.head)
            self.net.head.unlock(everything=False)

    def losses(self, batch: Batch, step: Step) -> Losses:
        """Cross-entropy over the new classes, and the orthogonality of class means and features."""
        self.net.drop_with(self.context.randomness.on_device("dropout", step.task.index, step.iteration))
        features = self.net.newest(batch.x)
        rows = torch.cat([self.gaussians.means, features])
        return {
            "classification": F.cross_entropy(self.net.head.newest(features), batch.y - step.task.known),
            "orthogonality": self.recipe.orthogonality * apartness(rows),
        }

    def merge(self, batch: Batch, step: Step) -> None:  # noqa: ARG002 - of every hook
        """Move the adapters towards the mean of the earlier ones, once per step."""
        *earlier, newest = self.net.adapters
        if earlier:
            blend(newest, earlier, self.recipe.merge)

    def alignment(self, batch: Batch, step: Step) -> Losses:  # noqa: ARG002 - of every loss
        """Cross-entropy over all classes on drawn features."""
        return {"classification": F.cross_entropy(self.net.head(batch.x), batch.y)}

    @torch.no_grad()
    def features_with(self, task: Task, index: int) -> Tensor:
        """Features (N, d) of the task's images with the adapters of one task."""
        self.net.eval()
        adapters = self.net.adapters[index]
        return torch.cat([self.net.embed(batch.x, adapters) for batch in task.train.batches(512)])


def apartness(rows: Tensor) -> Tensor:
    """CE(R Rᵀ / 0.8, identity): every row (N, d) is most similar to itself."""
    return F.cross_entropy(rows @ rows.T / TEMPERATURE, torch.arange(len(rows), device=rows.device))


METHOD = MOS
