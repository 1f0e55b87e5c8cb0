"""RanPAC, McDonnell et al. 2023: ridge regression on a large random expansion of frozen features."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor

from cil_core.data.features import FeatureDataset
from cil_core.learning.frozen import ComputedHead
from cil_core.learning.phase import Task
from cil_core.nets.heads import LinearHead, TrainedHead
from cil_core.nets.incremental import IncrementalNet
from cil_core.nets.ridge import RidgeHead, best_ridge
from cil_core.spec.recipes import RanPACRecipe


class RanPAC(ComputedHead[RidgeHead]):
    """Sums of expanded features and targets grow with every task; one linear solve gives the classifier.

    Paper: a pre-trained network adapts to the first task (phase 1); here it is used as it is.
    Differs: without pre-trained weights the backbone trains on the first task, as `finetune` does. Sums are
        float64, and the split that chooses the ridge has a generator of its own.
    Reports: the ridge head, without normalisation; the diagnostics state the ridge. G, D × D in float64, is
        kept and charged: 763 MiB at D = 10 000.
    """

    recipe: RanPACRecipe
    net: IncrementalNet[LinearHead | RidgeHead]
    bias = True
    plain_first_task = True

    def new_head(self, trained: TrainedHead) -> RidgeHead:
        """No data yet: all sums are zero."""
        generator = self.context.randomness.on_cpu("expansion")
        return RidgeHead.replacing(trained, self.recipe.expansion, generator)

    def absorb(self, task: Task, data: FeatureDataset) -> None:
        """Add this task to the sums, choose the ridge on this task alone, and solve for all classes."""
        head = self.computed_head
        x = head.expanded(data.features)
        y = F.one_hot(data.labels, task.seen).to(x)
        head.sums.absorb(x, y)
        chosen = self.recipe.ridge or self.chosen_ridge(task, x, y)
        used = head.solve(chosen)
        self.diagnostics["ridge"] = chosen
        if used != chosen:
            self.diagnostics["ridge_raised_to"] = used

    def chosen_ridge(self, task: Task, x: Tensor, y: Tensor) -> float:
        """The best ridge of a regression on four fifths of this task."""
        return best_ridge(x, y[:, task.known :], self.init_generator(task, "ridge"))


METHOD = RanPAC
