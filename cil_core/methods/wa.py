"""WA (weight aligning), Zhao et al. 2020: new classifier rows get the norm of the old ones."""

from __future__ import annotations

from collections.abc import Iterator

import torch

from cil_core.learning.losses import shared_objective, weighted_distillation
from cil_core.learning.method import Method
from cil_core.learning.phase import Batch, Losses, Phase, Step, Task
from cil_core.nets.backbones import Backbone
from cil_core.nets.heads import LinearHead, align_new_rows
from cil_core.nets.incremental import IncrementalNet
from cil_core.spec.recipes.rectification import WARecipe


class WA(Method):
    """L = (1 − λ) · CE + λ · KD_2, λ = o / n; then W_new ← γ · W_new, so that mean norms of rows agree.

    Paper: no bias; classifier weights are clipped to ≥ 0 after every step. From the second task on, new rows
        are aligned once per task, before the network becomes the teacher.
    Differs: `bias=True` (PyCIL) adds a bias, which aligning does not scale. `distillation_weight=w` trains
        CE + w · KD_2 instead (the survey's code).
    Reports: the linear head and the nearest mean of exemplars, which aligning does not change; γ as
        diagnostic `alignment`.
    """

    recipe: WARecipe
    net: IncrementalNet[LinearHead]
    keeps_teacher = True
    plain_first_task = True

    def build(self, backbone: Backbone) -> IncrementalNet[LinearHead]:
        """A linear head; the recipe decides on its bias."""
        return IncrementalNet(backbone, LinearHead(backbone.feature_dim, bias=self.recipe.bias))

    def learn(self, task: Task) -> Iterator[Phase]:
        """One phase, clipping after every step."""
        yield self.standard_phase(task, after_step=self.clip if self.recipe.clip_weights else None)

    def losses(self, batch: Batch, step: Step) -> Losses:  # noqa: ARG002 — λ follows from the widths
        """Classification, and from the second task on distillation."""
        teacher = None if self.teacher is None else self.old_logits(batch.x)
        logits, temperature, weight = (
            self.net(batch.x).logits,
            self.recipe.temperature,
            self.recipe.distillation_weight,
        )
        if weight is None:
            return shared_objective(logits, batch.y, teacher, temperature)
        return weighted_distillation(logits, batch.y, teacher, temperature, weight)

    @torch.no_grad()
    def clip(self, batch: Batch, step: Step) -> None:  # noqa: ARG002 — a hook
        """Set negative classifier weights to 0."""
        self.net.head.weight.clamp_(min=0)

    def consolidate(self, task: Task) -> None:
        """Align the new rows."""
        if not task.is_first:
            self.diagnostics["alignment"] = align_new_rows(self.net.head.weight, task.known)


METHOD = WA
