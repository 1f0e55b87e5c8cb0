"""DER (dynamically expandable representation), Yan et al. 2021: a new, pruned extractor per task."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping

import torch.nn.functional as F
from torch import Tensor, nn

from cil_core.data.arrays import ArrayDataset
from cil_core.learning.method import Method
from cil_core.learning.phase import Batch, Losses, Phase, Step, Task
from cil_core.nets.backbones import Backbone
from cil_core.nets.expandable import ExpandableNet, auxiliary_labels
from cil_core.nets.incremental import freeze
from cil_core.nets.masking import Masks, reestimate_statistics
from cil_core.spec.recipes.expansion import DERRecipe


class DER(Method):
    """Stage 1: L = CE + λ_a · CE_aux + λ_s · L_S; then pruning. Stage 2: new head by CE / δ, balanced data.

    Paper: F_t starts from F_{t−1}; masks are annealed within every epoch; classifier learning from the second
        task on.
    Differs: mask placement, sparsity weight, slope and statistics are ours, since the paper's pruning code
        was not released. F_t starts from F_{t−1} before its pruning, of which an unpruned copy is kept (and
        counted).
    Reports: the linear head; the nearest mean of exemplars beside it; parameters of the new extractor before
        and after pruning as diagnostics.
    """

    recipe: DERRecipe
    net: ExpandableNet
    unpruned: nn.Module | None
    masks: Masks | None

    @property
    def compilable(self) -> bool:  # type: ignore[override]
        """Masks change with every step, and every pruned extractor has a structure of its own."""
        return not self.recipe.prune

    def build(self, backbone: Backbone) -> ExpandableNet:
        """One extractor, and neither masks nor an unpruned copy yet."""
        self.unpruned = self.masks = None
        return ExpandableNet(backbone, backbone.feature_dim, bias=self.recipe.head_bias)

    def grow(self, task: Task) -> None:
        """Add an extractor that starts from the last one before its pruning."""
        if task.is_first:
            self.net.grow(task.new, self.init_generator(task))
        else:
            extractor = copy.deepcopy(self.net.newest if self.unpruned is None else self.unpruned)
            self.net.expand(extractor, task.new, self.init_generator(task), inherit=self.recipe.inherit_head)

    def learn(self, task: Task) -> Iterator[Phase]:
        """Representation learning, pruning, classifier learning."""
        if not self.recipe.prune:
            yield self.standard_phase(task, name="representation")
        else:
            self.masks = Masks(
                self.net.newest,
                self.recipe.mask_spread,
                self.recipe.slope_max,
                self.init_generator(task, "masks"),
            )
            masked = {id(parameter) for parameter in self.masks.parameters}
            weights = [p for p in self.net.parameters() if p.requires_grad and id(p) not in masked]
            yield self.standard_phase(
                task,
                name="representation",
                params=weights,
                undecayed=self.masks.parameters,
                after_step=self.clamp_masks,
            )
            self.prune(task, self.masks)
        self.net.auxiliary = None
        if not task.is_first:
            freeze(self.net.newest)
            self.net.reset_heads(self.init_generator(task, "classifier"))
            balanced = (task.train + self.memory.data).balanced(self.init_generator(task, "balance"))
            yield Phase("classifier", balanced, self.classifier_losses, self.recipe.classifier, self.net.head)

    def losses(self, batch: Batch, step: Step) -> Losses:
        """Stage 1."""
        schedule = self.recipe.first_task if step.task.is_first else self.recipe.later_tasks
        warmed_up = schedule.warmup_epochs > 0 and (step.epoch, step.index) == (schedule.warmup_epochs, 0)
        if self.recipe.reset_heads_after_warmup and warmed_up:
            self.net.reset_heads(self.init_generator(step.task, "after warm-up"))
        if self.masks:
            self.masks.anneal(step.index, step.steps)
        outputs = self.net(batch.x)
        losses = {"classification": F.cross_entropy(outputs.logits, batch.y)}
        if not step.task.is_first:
            auxiliary = F.cross_entropy(
                self.net.auxiliary_logits(outputs.features), auxiliary_labels(batch.y, step.task.known)
            )
            losses["auxiliary"] = self.recipe.auxiliary_weight * auxiliary
        if self.masks:
            losses["sparsity"] = self.recipe.sparsity_weight * self.masks.sparsity()
        return losses

    def classifier_losses(self, batch: Batch, step: Step) -> Losses:  # noqa: ARG002 — the same in every step
        """Stage 2: every extractor is frozen and in evaluation mode."""
        logits = self.net.head(self.net.features(batch.x)) / self.recipe.temperature
        return {"classification": F.cross_entropy(logits, batch.y)}

    def clamp_masks(self, batch: Batch, step: Step) -> None:  # noqa: ARG002 — a hook
        """Keep the mask parameters in range."""
        if self.masks:
            self.masks.clamp()

    def prune(self, task: Task, masks: Masks) -> None:
        """Make the newest extractor as small as its masks say, and re-estimate its batch-norm statistics."""
        extractor = self.net.newest
        masks.remove()
        self.unpruned = copy.deepcopy(extractor)
        before = sum(p.numel() for p in extractor.parameters())
        masks.prune()
        self.masks = None
        self._reestimate(task, task.train + self.memory.data)
        self.diagnostics |= {
            "parameters_before_pruning": before,
            "parameters_after_pruning": sum(p.numel() for p in extractor.parameters()),
        }

    def _reestimate(self, task: Task, data: ArrayDataset) -> None:
        batches: list[Tensor] = []
        generator = self.context.randomness.on_device("statistics", task.index)
        schedule = self.recipe.first_task if task.is_first else self.recipe.later_tasks
        while len(batches) < self.recipe.statistics_batches:
            batches.extend(batch.x for batch in data.batches(schedule.batch_size, generator, augment=True))
        reestimate_statistics(self.net.newest, batches[: self.recipe.statistics_batches])

    def match_structure(self, state: Mapping[str, Tensor]) -> None:
        """The unpruned copy exists once something was pruned."""
        super().match_structure(state)
        if any(name.startswith("unpruned.") for name in state):
            self.unpruned = copy.deepcopy(self.net.newest)


METHOD = DER
