"""Replay with adjusted logits: a method of your own, in one file.

    cil method check examples/adjusted_replay.py
    cil run examples/adjusted_replay.json --method examples/adjusted_replay.py

In training every logit is raised by the logarithm of its class's share of the images, so that the network
need not learn that exemplars are rare (Menon et al. 2021). At test the logits are left as they are.
"""

from __future__ import annotations

from typing import Literal

import torch
import torch.nn.functional as F
from pydantic import Field

from cil_core.learning.method import Method
from cil_core.learning.phase import Batch, Losses, Step, Task
from cil_core.spec.recipes.base import Recipe
from cil_core.spec.schedule import Schedule


class AdjustedReplayRecipe(Recipe):
    """Replay whose logits are adjusted by class frequency."""

    title = "Adjusted replay"
    family = "rehearsal"
    summary = (
        "Replays exemplars and adjusts logits by class frequency in training, so that old classes compete."
    )
    classifiers = ("linear", "nme")
    uses_memory = True

    name: Literal["adjusted-replay"] = "adjusted-replay"
    later_tasks: Schedule = Field(
        default=Schedule(epochs=70, milestones=(30, 50), weight_decay=2e-4),
        description="Schedule of every later task (as PyCIL's replay).",
    )
    strength: float = Field(default=1.0, ge=0, le=4, description="Factor of the adjustment (own choice).")


class AdjustedReplay(Method):
    """Cross-entropy over all seen classes, on logits plus the logarithm of each class's frequency."""

    recipe: AdjustedReplayRecipe

    def grow(self, task: Task) -> None:
        """Count the images of every class that this task trains on."""
        super().grow(task)
        labels = torch.cat([task.train.labels, self.memory.labels])
        shares = torch.bincount(labels, minlength=task.seen) / len(labels)
        self.adjustment = self.recipe.strength * shares.log()  # (seen,)

    def losses(self, batch: Batch, step: Step) -> Losses:  # noqa: ARG002 - the loss is the same in every task
        """The one term of the standard phase."""
        logits = self.net(batch.x).logits  # (B, seen)
        return {"classification": F.cross_entropy(logits + self.adjustment, batch.y)}


RECIPE = AdjustedReplayRecipe
METHOD = AdjustedReplay
