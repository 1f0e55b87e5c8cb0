"""BiC (bias correction), Wu et al. 2019: two numbers per task, fitted on held-out images, undo the bias."""

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
    """From the second task on: (1 − λ) · CE + λ · KD_2, λ = o / n; then CE of q = α z + β on held-out images.

    Paper: held-out images stay apart for good and are never trained on.
    Differs: every task draws new ones (PyCIL), the same number per seen class and at least one. Every task
        keeps its own pair (PyCIL); the official code applies only the newest. Preset `pycil` takes the
        softmax of q for logits and fits the pair with the network in training mode.
    Reports: the corrected linear head and the nearest mean of exemplars, which the correction does not
        change; α and β as diagnostics.
    """

    recipe: BiCRecipe
    net: IncrementalNet[CorrectedHead]
    keeps_teacher = True

    def build(self, backbone: Backbone) -> IncrementalNet[CorrectedHead]:
        """A linear head with corrections."""
        return IncrementalNet(backbone, CorrectedHead(backbone.feature_dim))

    def learn(self, task: Task) -> Iterator[Phase]:
        """Train on the images that are not held out; then fit the newest correction alone."""
        if task.is_first:
            yield self.standard_phase(task)
            return
        train, held_out = self.split(task)
        yield self.standard_phase(task, data=train)
        newest = self.net.head.newest.requires_grad_(True)
        training = self.recipe.correction_mode == "training"
        yield Phase(
            "correct bias",
            held_out,
            self.correction_losses,
            self.recipe.correction,
            self.net if training else newest,
            params=newest.parameters(),
        )
        newest.requires_grad_(False)
        self.diagnostics |= {"alpha": float(newest.alpha), "beta": float(newest.beta)}

    def split(self, task: Task) -> tuple[ArrayDataset, ArrayDataset]:
        """Training images and a class-balanced held-out set.

        Per class, the set has the recipe's share of the smallest class, and at least one image.
        """
        data = task.train + self.memory.data
        smallest = int(torch.bincount(data.labels).min())
        return data.split_balanced(
            max(1, int(self.recipe.held_out * smallest)), self.init_generator(task, "held out")
        )

    def losses(self, batch: Batch, step: Step) -> Losses:  # noqa: ARG002 — λ follows from the widths
        """Stage 1, on corrected logits of student and teacher; the newest correction is the identity."""
        teacher = None if self.teacher is None else self.old_logits(batch.x)
        return shared_objective(self.net(batch.x).logits, batch.y, teacher, self.recipe.temperature)

    def correction_losses(self, batch: Batch, step: Step) -> Losses:  # noqa: ARG002 — the same in every step
        """Stage 2: cross-entropy of the corrected logits, and β²/2."""
        head = self.net.head
        with torch.no_grad():
            logits = head.linear(self.net.features(batch.x))
        corrected = head.correct(logits)
        if self.recipe.correction_input == "probabilities":
            corrected = corrected.softmax(dim=1)
        losses = {"classification": F.cross_entropy(corrected, batch.y)}
        if self.recipe.shift_penalty:
            losses["shift"] = self.recipe.shift_penalty * head.newest.beta.square() / 2
        return losses


METHOD = BiC
