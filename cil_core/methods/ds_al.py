"""DS-AL, Zhuang et al. 2024: a second ridge regression learns what the first one leaves."""

from __future__ import annotations

from cil_core.data.features import FeatureDataset
from cil_core.learning.frozen import ComputedHead
from cil_core.learning.phase import Task
from cil_core.nets.analytic import DualStreamHead
from cil_core.nets.heads import LinearHead, TrainedHead
from cil_core.nets.incremental import IncrementalNet
from cil_core.spec.recipes import DSALRecipe


class DSAL(ComputedHead[DualStreamHead]):
    """ACIL's regression on relu(P f), and a compensation on tanh(P f) that learns its residual.

    Paper: residuals of old classes are cleared, because old images are not at hand.
    Differs: residuals are those of the regression after the whole task, so that batches do not matter;
        `passes="running"` takes them after each batch, as the official code and PyCIL do.
    Reports: the sum of both streams. Two D × D matrices in float64 are kept and charged: 1 GiB at D = 8192.
    """

    recipe: DSALRecipe
    net: IncrementalNet[LinearHead | DualStreamHead]
    plain_first_task = True

    def new_head(self, trained: TrainedHead) -> DualStreamHead:
        """No data yet: all weights are zero. The projection is the one that ACIL draws."""
        recipe, width = self.recipe, trained.weight.shape[1]
        head = DualStreamHead(
            width, recipe.expansion, recipe.ridge, recipe.compensation_ridge, recipe.compensation
        )
        return head.drawn(trained, self.context.randomness.on_cpu("expansion"))

    def absorb(self, task: Task, data: FeatureDataset) -> None:
        """Update the main regression, then the compensation."""
        head, size = self.computed_head, self.recipe.analytic_batch
        for batch in data.batches(size):
            head.absorb(batch.x, batch.y)
            if self.recipe.passes == "running":
                head.compensate(batch.x, batch.y, task.known)
        if self.recipe.passes == "two":
            for batch in data.batches(size):
                head.compensate(batch.x, batch.y, task.known)


METHOD = DSAL
