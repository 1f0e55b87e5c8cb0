"""SLCA++, Zhang et al. 2024: SLCA with low-rank updates instead of the whole network."""

from __future__ import annotations

from collections.abc import Iterator

import torch

from cil_core.learning.alignment import symmetric_cross_entropy
from cil_core.learning.gaussians import Sampler
from cil_core.learning.phase import Batch, Losses, ParameterGroup, Phase, Step, Task
from cil_core.methods.slca import SLCA
from cil_core.nets.backbones import Backbone
from cil_core.nets.slow import SlowNet
from cil_core.spec.recipes import SLCAppRecipe


class SLCApp(SLCA):
    """Low-rank updates, norms, biases and the class token learn slowly; the rest of the network is frozen.

    Paper: L = a CE + b RCE over the new classes; in the alignment features of older classes shrink at random.
    Differs: see the recipe.
    Reports: the aligned head, with the inputs of older tasks' layers enlarged.
    """

    recipe: SLCAppRecipe
    net: SlowNet

    def build(self, backbone: Backbone) -> SlowNet:
        """A transformer with one low-rank update for all tasks."""
        return SlowNet(backbone, self.recipe.rank)

    def grow(self, task: Task) -> None:
        """As SLCA; inputs of the head are as they are again."""
        if task.is_first:
            self.net.add_sites(self.init_generator(task, "sites"))
        self.net.sites.requires_grad_(True)
        super().grow(task)
        self.net.scales = torch.ones(task.index + 1, device=self.context.device)

    def learn(self, task: Task) -> Iterator[Phase]:
        """As SLCA; then enlarge the inputs of older layers for testing."""
        yield from super().learn(task)
        ages = task.index - torch.arange(task.index + 1, device=self.context.device)
        self.net.scales = 1 + self.recipe.enlargement * ages

    def slow_groups(self, task: Task) -> tuple[ParameterGroup, ...]:
        """The updates, faster in the first task, and what else of the network trains."""
        update_rate = self.recipe.first_update_rate if task.is_first else self.recipe.network_rate
        rest = (parameter for parameter in self.net.backbone.parameters() if parameter.requires_grad)
        return (
            ParameterGroup(self.net.sites.parameters(), lr_factor=update_rate),
            ParameterGroup(rest, lr_factor=self.recipe.network_rate),
        )

    def losses(self, batch: Batch, step: Step) -> Losses:
        """Symmetric cross-entropy over the new classes."""
        logits = self.net.head.newest(self.net.features(batch.x))
        forward, reverse = symmetric_cross_entropy(logits, batch.y - step.task.known)
        return {
            "classification": self.recipe.forward_weight * forward,
            "reverse": self.recipe.reverse_weight * reverse,
        }

    def alignment(self, batch: Batch, step: Step) -> Losses:
        """As SLCA, on features that shrink by 1 / (1 + u · age of the class), u in 0.01 … 0.03."""
        generator = self.context.randomness.on_device("shrinkage", step.task.index, step.iteration)
        draws = torch.rand(len(batch), 1, generator=generator, device=generator.device)
        ages = step.task.index - self.tasks_of(step.task).to(batch.y.device)[batch.y]
        shrunken = batch.x / (1 + (0.01 + 0.02 * draws) * ages[:, None])
        return super().alignment(Batch(shrunken, batch.y, batch.index, batch.raw), step)

    def shrunken(self, task: Task) -> Sampler:  # noqa: ARG002 - features shrink one by one
        """The class Gaussians themselves."""
        return self.gaussians.sampler(jitter=1e-4)


METHOD = SLCApp
