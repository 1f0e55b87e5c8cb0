"""`Method`: a class-incremental method consists of five verbs.

For every task the engine calls `grow`, trains each phase of `learn`, calls `consolidate` and `remember`, and
evaluates. A method sees its task's training data and its own memory only: no test data, no future task, and
no old data that it did not keep.

Decisions:
    * State that outlives a task is a submodule or a buffer, so that the state dict is the checkpoint. `grow`
      and `match_structure` set what a state dict does not contain: frozen parameters and submodules.
    * The recipe declares once which classifiers a method reports and whether it uses memory; the method
      derives both from it.
    * The teacher is a frozen copy of the network, made at the end of every task. Training queries `old_net`,
      the same network with batch norm folded into its convolutions. It is built when first needed and never
      saved.
"""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Iterator, Mapping
from typing import Any, ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from cil_core.data.arrays import ArrayDataset
from cil_core.data.augment import Transform
from cil_core.learning.classifiers import CLASSIFIERS, Classifier
from cil_core.learning.memory import Memory, select
from cil_core.learning.phase import Batch, Losses, Phase, Step, Task
from cil_core.learning.seeding import Randomness
from cil_core.nets.backbones import PRECISIONS, Backbone, build_backbone
from cil_core.nets.folding import folded
from cil_core.nets.heads import LinearHead
from cil_core.nets.incremental import IncrementalNet, Net, Outputs, freeze
from cil_core.nets.precomputed import Precomputed
from cil_core.nets.pretrained import fill_own, pretrained_backbone
from cil_core.spec.catalog import DatasetCard
from cil_core.spec.jobs import MemoryBudget
from cil_core.spec.weights_files import WeightsFile

EVALUATION_BATCH = 512


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class RunContext:
    """What a method knows about its run.

    Args:
        dataset: card of the dataset.
        backbone: name of the track's backbone.
        budget: exemplars that may be kept between tasks.
        task_sizes: classes per task, including future ones: a method may know the protocol, not the data.
        randomness: source of all random numbers.
        device: of the network.
        precision: that backbones compute in, `fp32` or `bf16`.
        transform: prepares the images of the training data; None prepares them as the card says.
        weights: file of the weights that every backbone starts from; None draws them.
        frozen_features: whether inputs are features of these weights already, made once for all runs.
        compiled_batches: batch sizes for which backbones use compiled code.
    """

    dataset: DatasetCard
    backbone: str
    budget: MemoryBudget
    task_sizes: tuple[int, ...]
    randomness: Randomness
    device: torch.device
    precision: str = "fp32"
    transform: Transform | None = None
    weights: WeightsFile | None = None
    frozen_features: bool = False
    compiled_batches: frozenset[int] = frozenset()


class Method(nn.Module):
    """Base of all methods: plain training on the new data with cross-entropy over all seen classes.

    Class attributes:
        selection: how exemplars are chosen, a name in `SELECTIONS`.
        keeps_teacher: whether a frozen copy of the network is kept for the next task.
        plain_first_task: whether the first phase is nothing but cross-entropy on the first task's images, so
            that methods can share it (`first_task`).
        compilable: whether it trains whole backbones of one unchanging structure, so that compiling them
            pays off.
    """

    selection: str = "herding_greedy"
    keeps_teacher: ClassVar[bool] = False
    plain_first_task: bool = False
    compilable: bool = True

    def __init__(self, recipe: Any, context: RunContext) -> None:
        super().__init__()
        self.recipe = recipe
        self.context = context
        self.classifiers = tuple(map(self.classifier, recipe.classifiers))
        self.transform = context.transform or Transform(context.dataset)
        self.memory = Memory(self.transform, context.device)
        self.net: Net = self.build(self.fresh_backbone(0)).to(context.device)
        self.teacher: Net | None = None
        self._folded_teacher: list[Net] = []  # none or one; in a list, so that it is no submodule
        self.diagnostics: dict[str, float] = {}

    # ------------------------------------------------------------------ the five verbs

    def build(self, backbone: Backbone) -> Net:
        """The network before any class is known."""
        return IncrementalNet(backbone, LinearHead(backbone.feature_dim))

    def grow(self, task: Task) -> None:
        """Make room for the new classes; it may use this task's training data."""
        self.net.grow(task.new, self.init_generator(task))

    def learn(self, task: Task) -> Iterator[Phase]:
        """The phases of training; the code after a yield runs once that phase is trained."""
        yield self.standard_phase(task)

    def losses(self, batch: Batch, step: Step) -> Losses:  # noqa: ARG002 - most methods need the step
        """Named, weighted terms of the standard phase's objective."""
        return {"classification": F.cross_entropy(self.net(batch.x).logits, batch.y)}

    def consolidate(self, task: Task) -> None:
        """Called after training: align, prune, estimate importances."""

    # ------------------------------------------------------------------ given to every method

    def standard_phase(self, task: Task, **changes: Any) -> Phase:
        """The standard phase: this task's data and the memory, `losses` and the recipe's schedule.

        Args:
            task: decides between the schedules `first_task` and `later_tasks`.
            changes: fields of the phase to replace.
        """
        schedule = self.recipe.first_task if task.is_first else self.recipe.later_tasks
        data = task.train + self.memory.data if len(self.memory) else task.train
        return dataclasses.replace(Phase("fit", data, self.losses, schedule, self.net), **changes)

    @property
    def old_net(self) -> Net:
        """Inference-only copy of the teacher with batch norm folded into its convolutions.

        Raises:
            RuntimeError: in the first task, which has no teacher.
        """
        if self.teacher is None:
            raise RuntimeError("no teacher exists before the end of the first task")
        if not self._folded_teacher:
            self._folded_teacher.append(folded(self.teacher))
        return self._folded_teacher[0]

    def old_outputs(self, x: Tensor) -> Outputs:
        """The teacher's outputs, as constants.

        Raises:
            RuntimeError: in the first task, which has no teacher.
        """
        with torch.no_grad():
            outputs: Outputs = self.old_net(x)
        return outputs

    def old_logits(self, x: Tensor) -> Tensor:
        """The teacher's logits (B, o), as constants; raises as `old_outputs` does."""
        return self.old_outputs(x).logits

    def classifier(self, name: str) -> Classifier:
        """The classifier of an accuracy curve that the recipe names.

        Raises:
            KeyError: if neither `CLASSIFIERS` nor the method knows the name.
        """
        return CLASSIFIERS[name]()

    def quota(self, seen: int) -> int:
        """Exemplars per class when `seen` classes share the budget."""
        return self.context.budget.quota(seen, self.context.dataset.image_bytes)

    def remember(self, task: Task) -> None:
        """Update the memory, if the recipe uses one.

        Old classes are truncated; exemplars of new ones are selected by the features of the trained network.
        """
        if self.recipe.uses_memory:
            self.memory.replace(self.preview(task))

    def preview(self, task: Task, shared_by: int | None = None) -> ArrayDataset:
        """The memory that `remember` would keep: a class-balanced set of exemplars of all seen classes.

        Args:
            task: the current task.
            shared_by: number of classes that share the budget; None for all seen ones.
        """
        quota = self.quota(task.seen if shared_by is None else shared_by)
        return self.memory.truncated(quota) + select(task.train, quota, self.selection, self.unit_features)

    def raw_features(self, data: ArrayDataset) -> Tensor:
        """Features (N, d) of a dataset in its order: evaluation mode, no augmentation."""
        return features_of(self.net, data)

    def unit_features(self, data: ArrayDataset) -> Tensor:
        """Features scaled to unit norm, f / (‖f‖ + 1e-8)."""
        features = self.raw_features(data)
        unit: Tensor = features / (features.norm(dim=1, keepdim=True) + 1e-8)
        return unit

    @property
    def compiled_batches(self) -> frozenset[int]:
        """Batch sizes for which its backbones use compiled code."""
        return self.context.compiled_batches if self.compilable else frozenset()

    def fresh_backbone(self, task: int) -> Backbone:
        """A newly initialised backbone of the track.

        Methods with a cosine head get the variant without a final ReLU.

        Args:
            task: index of the task that needs it; tasks draw different weights.

        Raises:
            DataError: if published weights do not fit the backbone.
        """
        weights = self.context.weights
        if weights and weights.card.library == "timm":
            if self.context.frozen_features:
                return Precomputed(weights.card.feature_dim, weights.card.parameters)
            backbone: Backbone = pretrained_backbone(weights)
        else:
            name = self.recipe.backbone_on(self.context.backbone)
            generator = self.context.randomness.on_cpu("backbone", task)
            backbone = build_backbone(name, self.context.dataset.channels, generator)
            if weights:
                fill_own(backbone, weights)
        backbone.compute_in(PRECISIONS[self.context.precision])
        backbone.compiled_batches = self.compiled_batches
        # on a CPU channels-last is a third faster than channels-first
        return backbone.to(self.context.device).to(memory_format=torch.channels_last)

    def init_generator(self, task: Task, purpose: str = "head") -> torch.Generator:
        """A CPU generator for the parameters that `task` adds."""
        return self.context.randomness.on_cpu(purpose, task.index)

    # ------------------------------------------------------------------ used by the engine

    def finish_task(self) -> None:
        """Called after evaluation: the trained network becomes the next task's teacher."""
        if self.keeps_teacher:
            self.teacher = copy.deepcopy(self.net)
            freeze(self.teacher)
            self._folded_teacher.clear()

    def match_structure(self, state: Mapping[str, Tensor]) -> None:
        """Create the submodules that `state` has weights for; shapes are adopted afterwards."""
        if any(name.startswith("teacher.") for name in state):
            self.teacher = copy.deepcopy(self.net)
            freeze(self.teacher)
            self._folded_teacher.clear()


@torch.no_grad()
def features_of(net: Net, data: ArrayDataset) -> Tensor:
    """Features (N, d) of a dataset in its order: evaluation mode, no augmentation."""
    was_training = net.training
    net.eval()
    features = torch.cat([net.features(batch.x) for batch in data.batches(EVALUATION_BATCH)])
    net.train(was_training)
    return features
