"""FOSTER (feature boosting and compression), Wang et al. 2022."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from cil_core.data.arrays import ArrayDataset
from cil_core.learning.classifiers import Classified, Classifier, Scorer
from cil_core.learning.losses import balanced_distillation, distillation, effective_number_weights
from cil_core.learning.method import Method, RunContext, features_of
from cil_core.learning.phase import Batch, Losses, Phase, Step, Task
from cil_core.nets.expandable import ExpandableNet
from cil_core.nets.heads import LinearHead, align_new_rows
from cil_core.nets.incremental import IncrementalNet
from cil_core.spec.recipes.boosting import FOSTERRecipe


class Boosted:
    """Logits of the two branches before compression; in the first task there is one branch."""

    name = "boosted"

    def prepare(self, method: Classified) -> Scorer:
        """The boosted network's logits."""
        assert isinstance(method, FOSTER)  # noqa: S101 — only FOSTER names this classifier
        boosted = method.boosted
        if boosted is None:
            return lambda x, outputs: outputs.logits  # noqa: ARG005
        boosted.eval()
        return lambda x, outputs: boosted(x).logits  # noqa: ARG005


class FOSTER(Method):
    """Boosting: L = CE(z / w, y) + CE(z_fe, y) + KD(z_old, old). Compression: balanced KD into one network.

    Paper: w are class weights by effective numbers, which make rare classes need larger logits; at test
        logits are left as they are.
    Differs: see the recipe; N_c are counts of the images trained on.
    Reports: the compressed network, which later tasks build on; the boosted one of two branches as a second
        curve, whose parameters and bytes are still those of the compressed one. Exemplars are herded by the
        boosted one's features.
    """

    recipe: FOSTERRecipe
    net: IncrementalNet[LinearHead]
    keeps_teacher = True

    def __init__(self, recipe: Any, context: RunContext) -> None:
        super().__init__(recipe, context)
        # None or one; no submodule, since it lives only from growth to the end of testing.
        self._boosted: list[ExpandableNet] = []
        self.weights = torch.ones(0)

    def classifier(self, name: str) -> Classifier:
        """`boosted` is a classifier of its own."""
        return Boosted() if name == "boosted" else super().classifier(name)

    @property
    def boosted(self) -> ExpandableNet | None:
        """The network of two branches; None in the first task."""
        return self._boosted[0] if self._boosted else None

    def grow(self, task: Task) -> None:
        """Rows for the new classes; from the second task on a second branch, which starts from the first."""
        if not task.is_first:
            old = copy.deepcopy(self.net)
            boosted = ExpandableNet(old.backbone, old.backbone.feature_dim)
            boosted.head = old.head
            extractor, generator = copy.deepcopy(old.backbone), self.init_generator(task, "boosted")
            boosted.expand(extractor, task.new, generator, inherit=True, outputs=task.seen)
            self._boosted[:] = [boosted]
            self.hold_block(task.known)
        super().grow(task)

    def learn(self, task: Task) -> Iterator[Phase]:
        """One network in the first task; boosting and compression later."""
        whole = self.augmented(self.standard_phase(task).data)
        if self.boosted is None:
            yield self.standard_phase(task, data=whole)
            return
        counts = torch.bincount(whole.labels, minlength=task.seen)
        self.weights = effective_number_weights(counts, self.recipe.boosting_beta_of(task.index))
        yield self.standard_phase(
            task,
            name="boost",
            data=whole,
            loss=self.boosting_losses,
            model=self.boosted,
            after_step=self.hold_again,
        )
        self.boosted.eval()
        if self.recipe.align_boosted:
            self.diagnostics["alignment"] = align_new_rows(self.boosted.head.weight, task.known)
        self.weights = effective_number_weights(counts, self.recipe.compression_beta)
        yield self.standard_phase(
            task, name="compress", data=whole, loss=self.compression_losses, schedule=self.recipe.compression
        )

    def augmented(self, data: Any) -> ArrayDataset:
        """With AutoAugment and Cutout, if the recipe wants them."""
        images: ArrayDataset = data
        if not self.recipe.autoaugment:
            return images
        return images.augmented_by(*images.transform.tokens, "autoaugment", "cutout:16")

    def boosting_losses(self, batch: Batch, step: Step) -> Losses:
        """Logits alignment, feature enhancement, distillation."""
        assert self.boosted is not None  # noqa: S101 — this phase exists with it
        outputs, old = self.boosted(batch.x), self.old_logits(batch.x)
        distilled = distillation(outputs.logits[:, : step.task.known], old, self.recipe.temperature)
        return {
            "classification": F.cross_entropy(outputs.logits / self.weights, batch.y),
            "enhancement": F.cross_entropy(self.boosted.auxiliary_logits(outputs.features), batch.y),
            "distillation": self.recipe.distillation_weight * distilled,
        }

    def compression_losses(self, batch: Batch, step: Step) -> Losses:  # noqa: ARG002 — the same in every step
        """Balanced distillation, and nothing else."""
        assert self.boosted is not None  # noqa: S101 — this phase exists with it
        with torch.no_grad():
            target = self.boosted(batch.x).logits
        logits = self.net(batch.x).logits
        return {"distillation": balanced_distillation(logits, target, self.weights, self.recipe.temperature)}

    @torch.no_grad()
    def hold_block(self, known: int) -> None:
        """Keep new classes from using old features, if the recipe wants it."""
        if self.boosted is not None and not self.recipe.new_classes_from_old_features:
            self.boosted.head.weight[known:, : self.boosted.width] = 0

    def hold_again(self, batch: Batch, step: Step) -> None:  # noqa: ARG002 — a hook
        """After a step."""
        self.hold_block(step.task.known)

    def raw_features(self, data: ArrayDataset) -> Tensor:
        """Features of both branches while there are two: exemplars are herded by them."""
        return features_of(self.boosted or self.net, data)

    def finish_task(self) -> None:
        """The boosted network has been tested and goes."""
        self._boosted.clear()
        super().finish_task()


METHOD = FOSTER
