"""L2P, Wang et al. 2022: each image takes from a pool the prompts whose keys are most similar to it."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from cil_core.learning.method import Method
from cil_core.learning.phase import Batch, Losses, Step, Task
from cil_core.nets.backbones import Backbone
from cil_core.nets.prompts import PoolNet, best, most_frequent
from cil_core.spec.recipes import L2PRecipe


class L2P(Method):
    """Trains the pool that all tasks share, and the task's rows of the head.

    Paper: L = CE over the new classes − λ Σ cos(q, K_m) over the chosen prompts.
    Differs: see the recipe.
    Reports: the linear head on the mean output of the prompts, which each test image chooses itself.
    """

    recipe: L2PRecipe
    net: PoolNet

    def build(self, backbone: Backbone) -> PoolNet:
        """A transformer with an empty place for the pool."""
        return PoolNet(backbone, self.recipe.pool, self.recipe.length, self.recipe.top)

    def grow(self, task: Task) -> None:
        """The pool in the first task; rows of the head in every task."""
        if task.is_first:
            self.net.add_sites(self.init_generator(task, "prompts"))
        self.net.sites.requires_grad_(True)
        super().grow(task)

    def choice(self, similarities: Tensor) -> Tensor:
        """Ids of the prompts that each image trains (B, N)."""
        chosen = best(similarities, self.recipe.top)
        if self.recipe.choice == "sample":
            return chosen
        return most_frequent(chosen, self.recipe.top, self.recipe.pool).expand_as(chosen)

    def losses(self, batch: Batch, step: Step) -> Losses:
        """Cross-entropy over the new classes, and the pull of the chosen keys towards the queries."""
        similarities = self.net.similarities(self.net.query(batch.x))
        chosen = self.choice(similarities)
        logits = self.net.head.newest(self.net.prompted(batch.x, chosen))
        return {
            "classification": F.cross_entropy(logits, batch.y - step.task.known),
            "keys": -self.recipe.pull * similarities.gather(1, chosen).sum(dim=1).mean(),
        }

    def consolidate(self, task: Task) -> None:
        """Report how evenly images of the task use the pool: entropy of the chosen ids, 0 to 1."""
        used = torch.zeros(self.recipe.pool, device=task.train.labels.device)
        with torch.no_grad():
            for batch in task.train.batches(512):
                chosen = best(self.net.similarities(self.net.query(batch.x)), self.recipe.top)
                used += F.one_hot(chosen.flatten(), self.recipe.pool).sum(dim=0)
        share = used / used.sum()
        self.diagnostics["prompt_usage"] = float(
            torch.special.entr(share).sum() / torch.log(share.new_tensor(len(share)))
        )


METHOD = L2P
