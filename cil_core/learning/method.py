"""`Method`: the five verbs a class-incremental method is made of.

The engine calls, for every task: `grow`, then each phase of `learn`, then `consolidate` and `remember`; then it tests. A method sees its
task's training data and its own memory, nothing else: no test data, no future task, no old data it did not keep.

Decisions:
    * State that outlives a task is a submodule or a buffer, so that the state dict is the checkpoint. What a state dict does not hold
      (which parameters are frozen, which submodules exist) is set in `grow` and `match_structure`.
    * The teacher is a frozen copy of the network made after every task, when everything else is done. What is asked in training is
      `old_net`, the same network with batch normalisation folded away: made when first needed, never saved.
"""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Iterator, Mapping
from pathlib import Path
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
from cil_core.nets import pretrained
from cil_core.nets.backbones import PRECISIONS, Backbone, build_backbone
from cil_core.nets.folding import folded
from cil_core.nets.heads import LinearHead
from cil_core.nets.incremental import IncrementalNet, Net, Outputs, freeze
from cil_core.spec.catalog import DatasetCard
from cil_core.spec.jobs import MemoryBudget

EVALUATION_BATCH = 512


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class RunContext:
    """What a method is told about its run.

    Args:
        dataset: card of the dataset.
        backbone: name of the track's backbone.
        budget: what may be kept between tasks.
        task_sizes: classes of each task, future ones included: protocols are public, data is not.
        randomness: source of all random numbers.
        device: where the network lives.
        precision: what backbones compute in, `fp32` or `bf16`.
        weights: file of the weights every backbone starts from; None draws them.
        compiled_batches: batch sizes that backbones shall compute by compiled code.
    """

    dataset: DatasetCard
    backbone: str
    budget: MemoryBudget
    task_sizes: tuple[int, ...]
    randomness: Randomness
    device: torch.device
    precision: str = "fp32"
    weights: Path | None = None
    compiled_batches: frozenset[int] = frozenset()


class Method(nn.Module):
    """Base of all methods: plain training on the new data with cross-entropy over all seen classes.

    Class attributes:
        selection: how exemplars are chosen, a name in `SELECTIONS`.
        keeps_teacher: whether a frozen copy of the network is kept for the next task.
        plain_first_task: whether its first phase is nothing but cross-entropy on the first task's images, so that it may be shared (`first_task`).
        compilable: whether it trains whole backbones of one unchanging structure, so that compiling them gains anything.
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
        card = context.dataset
        self.transform = Transform(card)
        self.memory = Memory(card.shape, self.transform, context.device)
        self.net: Net = self.build(self.fresh_backbone(0)).to(context.device)
        self.teacher: Net | None = None
        self._folded_teacher: list[Net] = []  # none or one; in a list, so that it is no submodule
        self.diagnostics: dict[str, float] = {}

    # ------------------------------------------------------------------ the five verbs

    def build(self, backbone: Backbone) -> Net:
        """The network before any class is known."""
        return IncrementalNet(backbone, LinearHead(backbone.feature_dim))

    def grow(self, task: Task) -> None:
        """Make room for the new classes; this task's training data may be looked at."""
        self.net.grow(task.new, self.init_generator(task))

    def learn(self, task: Task) -> Iterator[Phase]:
        """The phases of training; code after a yield runs when that phase is trained."""
        yield self.standard_phase(task)

    def losses(self, batch: Batch, step: Step) -> Losses:  # noqa: ARG002 — most methods need the step
        """Named, weighted terms of the standard phase."""
        return {"classification": F.cross_entropy(self.net(batch.x).logits, batch.y)}

    def consolidate(self, task: Task) -> None:
        """After training: align, prune, estimate importances."""

    # ------------------------------------------------------------------ given to every method

    def standard_phase(self, task: Task, **changes: Any) -> Phase:
        """The standard phase: this task's data and the memory, `losses`, the recipe's schedule; `changes` replace fields of the phase."""
        schedule = self.recipe.first_task if task.is_first else self.recipe.later_tasks
        data = task.train + self.memory.data if len(self.memory) else task.train
        return dataclasses.replace(Phase("fit", data, self.losses, schedule, self.net), **changes)

    @property
    def old_net(self) -> Net:
        """The teacher for asking only: as its structure says, but without batch normalisation.

        Raises:
            RuntimeError: in the first task, when there is no teacher.
        """
        if self.teacher is None:
            raise RuntimeError("there is no teacher before the end of the first task")
        if not self._folded_teacher:
            self._folded_teacher.append(folded(self.teacher))
        return self._folded_teacher[0]

    def old_outputs(self, x: Tensor) -> Outputs:
        """The teacher's outputs, as constants.

        Raises:
            RuntimeError: in the first task, when there is no teacher.
        """
        with torch.no_grad():
            outputs: Outputs = self.old_net(x)
        return outputs

    def old_logits(self, x: Tensor) -> Tensor:
        """The teacher's logits (B, o), as constants."""
        return self.old_outputs(x).logits

    def classifier(self, name: str) -> Classifier:
        """The classifier of an accuracy curve that the recipe names.

        Raises:
            KeyError: if neither `CLASSIFIERS` nor the method knows the name.
        """
        return CLASSIFIERS[name]()

    def quota(self, seen: int) -> int:
        """Exemplars a class may keep when `seen` classes share the budget."""
        return self.context.budget.quota(seen, self.context.dataset.image_bytes)

    def remember(self, task: Task) -> None:
        """If the recipe uses memory: truncate old classes, select exemplars of the new ones with the final extractor."""
        if self.recipe.uses_memory:
            self.memory.replace(self.preview(task))

    def preview(self, task: Task) -> ArrayDataset:
        """The memory as `remember` would leave it now: a class-balanced set of exemplars of all seen classes."""
        quota = self.quota(task.seen)
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
        """Batch sizes that its backbones compute by compiled code."""
        return self.context.compiled_batches if self.compilable else frozenset()

    def fresh_backbone(self, task: int) -> Backbone:
        """A newly initialised backbone of the track's kind; methods with a cosine head get its variant without a final ReLU."""
        name = self.recipe.backbone_on(self.context.backbone)
        backbone = build_backbone(
            name, self.context.dataset.channels, self.context.randomness.on_cpu("backbone", task)
        )
        if self.context.weights:
            pretrained.load(backbone, self.context.weights)
        backbone.compute_in(PRECISIONS[self.context.precision])
        backbone.compiled_batches = self.compiled_batches
        return backbone.to(self.context.device).to(
            memory_format=torch.channels_last
        )  # a third faster than channels-first on CPU

    def init_generator(self, task: Task, purpose: str = "head") -> torch.Generator:
        """A CPU generator for initialising what `task` adds."""
        return self.context.randomness.on_cpu(purpose, task.index)

    # ------------------------------------------------------------------ used by the engine

    def finish_task(self) -> None:
        """After testing: the trained network becomes the next task's teacher."""
        if self.keeps_teacher:
            self.teacher = copy.deepcopy(self.net)
            freeze(self.teacher)
            self._folded_teacher.clear()

    def match_structure(self, state: Mapping[str, Tensor]) -> None:
        """Create what `state` has weights for, e.g. the teacher; shapes are adapted afterwards."""
        if any(name.startswith("teacher.") for name in state):
            self.teacher = copy.deepcopy(self.net)
            freeze(self.teacher)
            self._folded_teacher.clear()


@torch.no_grad()
def features_of(net: Net, data: ArrayDataset) -> Tensor:
    """What `net` makes of a dataset, (N, d) in its order: evaluation mode, no augmentation."""
    was_training = net.training
    net.eval()
    features = torch.cat([net.features(batch.x) for batch in data.batches(EVALUATION_BATCH)])
    net.train(was_training)
    return features
