"""ACIL, Zhuang et al. 2022: the classifier is a ridge regression that is updated in closed form."""

from __future__ import annotations

from cil_core.data.features import FeatureDataset
from cil_core.learning.frozen import ComputedHead
from cil_core.learning.phase import Task
from cil_core.nets.analytic import AnalyticHead
from cil_core.nets.heads import LinearHead, TrainedHead
from cil_core.nets.incremental import IncrementalNet
from cil_core.spec.recipes import ACILRecipe


class ACIL(ComputedHead[AnalyticHead]):
    """The backbone trains on the first task; every task updates a ridge regression on expanded features.

    Paper: the result equals one regression on the data of all tasks.
    Differs: the first task's training follows PyCIL by default, the official code in preset `paper`. With
        pre-trained weights nothing trains.
    Reports: the analytic head. R, D × D in float64, is kept and charged: 512 MiB at D = 8192.
    """

    recipe: ACILRecipe
    net: IncrementalNet[LinearHead | AnalyticHead]
    plain_first_task = True

    def new_head(self, trained: TrainedHead) -> AnalyticHead:
        """No data yet: all weights are zero."""
        generator = self.context.randomness.on_cpu("expansion")
        return AnalyticHead.replacing(trained, self.recipe.expansion, self.recipe.ridge, generator)

    def absorb(self, task: Task, data: FeatureDataset) -> None:  # noqa: ARG002 - every task is alike
        """Update the regression, batch after batch."""
        for batch in data.batches(self.recipe.analytic_batch):
            self.computed_head.absorb(batch.x, batch.y)


METHOD = ACIL
