"""BiC (bias correction), Wu et al. 2019: two numbers a task, fitted on held-out images, undo the bias towards new classes."""

from __future__ import annotations

from collections.abc import Iterator

import torch
import torch.nn.functional as F

from cil_core.data.arrays import ArrayDataset
from cil_core.learning.losses import shared_objective
from cil_core.learning.method import Method
from cil_core.learning.phase import Batch, Losses, Phase, Step, Task
from cil_core.nets.backbones import Backbone
from cil_core.nets.correction import CorrectedHead
from cil_core.nets.incremental import IncrementalNet
from cil_core.spec.recipes.rectification import BiCRecipe


class BiC(Method):
    """Two stages from the second task on: (1 − λ) · CE + λ · KD_2, λ = o / n; then q = α z + β for the new classes, by CE on held-out images.

    Paper: held-out images stay apart for good and are never trained on.
    Differs: they are drawn anew for every task (PyCIL), the same number of each seen class and at least one. Every task keeps its own pair
        (PyCIL); the official code applies the newest alone.
    Reports: the corrected linear head; the nearest mean of exemplars, which the correction does not change, beside it; α and β as diagnostics.
    """

    recipe: BiCRecipe
    net: IncrementalNet[CorrectedHead]
    keeps_teacher = True

    def build(self, backbone: Backbone) -> IncrementalNet[CorrectedHead]:
        """A linear head with corrections."""
        return IncrementalNet(backbone, CorrectedHead(backbone.feature_dim))

    def learn(self, task: Task) -> Iterator[Phase]:
        """Train on what is not held out; then fit the newest correction, everything else at rest."""
        if task.is_first:
            yield self.standard_phase(task)
            return
        train, held_out = self.split(task)
        yield self.standard_phase(task, data=train)
        newest = self.net.head.newest.requires_grad_(True)
        yield Phase("correct bias", held_out, self.correction_losses, self.recipe.correction, newest)
        newest.requires_grad_(False)
        self.diagnostics |= {"alpha": float(newest.alpha), "beta": float(newest.beta)}

    def split(self, task: Task) -> tuple[ArrayDataset, ArrayDataset]:
        """What to train on and a class-balanced held-out set: the recipe's share of the smallest class, at least one image a class."""
        data = task.train + self.memory.data
        smallest = int(torch.bincount(data.labels).min())
        return data.split_balanced(
            max(1, int(self.recipe.held_out * smallest)), self.init_generator(task, "held out")
        )

    def losses(self, batch: Batch, step: Step) -> Losses:  # noqa: ARG002 — λ follows from the widths
        """Stage 1, on corrected logits of student and teacher; the newest correction is still the identity."""
        teacher = None if self.teacher is None else self.old_logits(batch.x)
        return shared_objective(self.net(batch.x).logits, batch.y, teacher, self.recipe.temperature)

    def correction_losses(self, batch: Batch, step: Step) -> Losses:  # noqa: ARG002 — the same in every step
        """Stage 2: cross-entropy of the corrected logits, and β²/2."""
        head = self.net.head
        with torch.no_grad():
            logits = head.linear(self.net.features(batch.x))
        losses = {"classification": F.cross_entropy(head.correct(logits), batch.y)}
        if self.recipe.shift_penalty:
            losses["shift"] = self.recipe.shift_penalty * head.newest.beta.square() / 2
        return losses


METHOD = BiC
