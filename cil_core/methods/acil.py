"""ACIL, Zhuang et al. 2022: the classifier is a ridge regression that is updated in closed form."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from torch import Tensor

from cil_core.data.features import FeatureDataset
from cil_core.learning.method import Method
from cil_core.learning.phase import Phase, Task
from cil_core.nets.analytic import AnalyticHead
from cil_core.nets.backbones import Backbone
from cil_core.nets.heads import LinearHead
from cil_core.nets.incremental import IncrementalNet, freeze
from cil_core.spec.recipes import ACILRecipe


class ACIL(Method):
    """The backbone trains on the first task; every task updates a ridge regression on expanded features.

    Paper: the result equals one regression on the data of all tasks.
    Differs: the first task's training follows PyCIL by default, the official code in preset `paper`.
    Reports: the analytic head. R, D × D in float64, is kept and charged: 512 MiB at D = 8192.
    """

    recipe: ACILRecipe
    net: IncrementalNet[LinearHead | AnalyticHead]

    def build(self, backbone: Backbone) -> IncrementalNet[LinearHead | AnalyticHead]:
        """A backbone with an ordinary head, which trains it and is then replaced."""
        return IncrementalNet(backbone, LinearHead(backbone.feature_dim, bias=False))

    def learn(self, task: Task) -> Iterator[Phase]:
        """Gradient descent in the first task alone."""
        if task.is_first:
            yield self.standard_phase(task)

    def consolidate(self, task: Task) -> None:
        """Absorb this task's features."""
        freeze(self.net.backbone)
        head = self.analytic_head()
        for batch in FeatureDataset(self.raw_features(task.train), task.train.labels).batches(
            self.recipe.analytic_batch
        ):
            head.absorb(batch.x, batch.y)

    def analytic_head(self) -> AnalyticHead:
        """The analytic head, put in the place of the one that trained the backbone."""
        if isinstance(self.net.head, LinearHead):
            generator = self.context.randomness.on_cpu("expansion")
            self.net.head = AnalyticHead.replacing(
                self.net.head, self.recipe.expansion, self.recipe.ridge, generator
            )
        return self.net.head

    def match_structure(self, state: Mapping[str, Tensor]) -> None:
        """After a checkpoint the backbone is frozen and the head analytic."""
        super().match_structure(state)
        freeze(self.net.backbone)
        self.analytic_head()


METHOD = ACIL
