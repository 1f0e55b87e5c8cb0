"""SLCA, Zhang et al. 2023: the network learns slowly, and class Gaussians align the head."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from cil_core.learning.alignment import DrawnFeatures, normalised_cross_entropy
from cil_core.learning.gaussians import ClassGaussians, Sampler
from cil_core.learning.method import Method, RunContext
from cil_core.learning.phase import Batch, Losses, ParameterGroup, Phase, Step, Task
from cil_core.nets.backbones import Backbone
from cil_core.nets.incremental import IncrementalNet, Net
from cil_core.nets.task_head import TaskHead


class SLCA(Method):
    """The whole network trains a hundred times slower than its head, which is then aligned for testing.

    Paper: L = CE over the new classes; alignment: CE(z / (τ ν)) on features drawn from N(ρ_c μ_c, Σ_c).
    Differs: see the recipe.
    Reports: the aligned head. The next task continues from the head as it was before.
    """

    recipe: Any  # an `SLCARecipe` or an `SLCAppRecipe`
    net: Any  # an `IncrementalNet` or a `SlowNet`, with a `TaskHead`

    def __init__(self, recipe: Any, context: RunContext) -> None:
        super().__init__(recipe, context)
        self.gaussians = ClassGaussians(self.net.head.width)
        self.unaligned = TaskHead(self.net.head.width)

    def build(self, backbone: Backbone) -> Net:
        """A network with one linear layer per task."""
        return IncrementalNet(backbone, TaskHead(backbone.feature_dim, start="normal"))

    def grow(self, task: Task) -> None:
        """Undo the last alignment, and add a layer to the head."""
        if not task.is_first:
            self.net.head.load_state_dict(self.unaligned.state_dict())
        super().grow(task)

    def learn(self, task: Task) -> Iterator[Phase]:
        """Learn slowly; then align the head, from the second task on."""
        yield self.standard_phase(task, groups=self.slow_groups(task))
        features = self.raw_features(task.train)
        self.gaussians.append(features, task.train.labels, task.known, task.seen)
        self.unaligned = copy.deepcopy(self.net.head)
        if not task.is_first:
            self.net.head.unlock(everything=True)
            data = DrawnFeatures(self.shrunken(task), self.recipe.alignment.batch_size)
            yield Phase("alignment", data, self.alignment, self.recipe.alignment, self.net.head)
            self.net.head.unlock(everything=False)

    def slow_groups(self, task: Task) -> tuple[ParameterGroup, ...]:  # noqa: ARG002 - equal in every task
        """The network, which learns slowly."""
        return (ParameterGroup(self.net.backbone.parameters(), lr_factor=self.recipe.network_rate),)

    def tasks_of(self, task: Task) -> Tensor:
        """t_c, the task of every class so far (n,)."""
        sizes = torch.tensor(self.context.task_sizes[: task.index + 1])
        return torch.arange(task.index + 1).repeat_interleave(sizes)

    def losses(self, batch: Batch, step: Step) -> Losses:
        """Cross-entropy over the new classes."""
        logits = self.net.head.newest(self.net.features(batch.x))
        return {"classification": F.cross_entropy(logits, batch.y - step.task.known)}

    def alignment(self, batch: Batch, step: Step) -> Losses:
        """Cross-entropy over all classes on drawn features, with logits of unit length per task."""
        logits = self.net.head(batch.x)
        return {
            "classification": normalised_cross_entropy(
                logits, batch.y, step.task.bounds, self.recipe.temperature
            )
        }

    def shrunken(self, task: Task) -> Sampler:
        """The class Gaussians with means ρ_c μ_c, ρ = 0.9 + 0.1 (t_c + 1) / (t + 1)."""
        shares = 0.9 + 0.1 * (self.tasks_of(task) + 1) / (task.index + 1)
        sampler = self.gaussians.sampler(jitter=1e-4)
        sampler.means = sampler.means * shares.to(sampler.means)[:, None]
        return sampler


METHOD = SLCA
