"""Bases of methods that train on the first task at most and then keep statistics of features.

Decisions:
    * A pre-trained network is used as it is. A method that adapts it to the first task yields that phase
      from `learn`.
    * The features of a task are computed once, after its training, and given to `absorb`.
    * A computed head takes the place of the linear head that trained the backbone. Before the first task ends
      the state dict has the linear head, afterwards the computed one.
"""

from __future__ import annotations

import abc
from collections.abc import Iterator, Mapping
from typing import Any, Generic, TypeVar

from torch import Tensor

from cil_core.data.features import FeatureDataset
from cil_core.learning.method import Method
from cil_core.learning.phase import Phase, Task
from cil_core.nets.backbones import Backbone
from cil_core.nets.heads import LinearHead, TrainedHead
from cil_core.nets.incremental import Head, IncrementalNet, freeze

C = TypeVar("C", bound=Head)


class FrozenBackbone(Method, abc.ABC):
    """The backbone trains on the first task, unless the track brings weights; later it never changes."""

    net: IncrementalNet[Any]

    def learn(self, task: Task) -> Iterator[Phase]:
        """The standard phase of the first task, on a track without pre-trained weights; nothing else."""
        if task.is_first and self.context.weights is None:
            yield self.standard_phase(task)

    def consolidate(self, task: Task) -> None:
        """Freeze the backbone and absorb this task's features."""
        self.settle()
        self.absorb(task, FeatureDataset(self.raw_features(task.train), task.train.labels))

    @abc.abstractmethod
    def absorb(self, task: Task, data: FeatureDataset) -> None:
        """Learn from the raw features of a task's images, which are in the order of the images."""

    def settle(self) -> None:
        """Freeze the backbone and leave training mode for good. Idempotent."""
        freeze(self.net.backbone)
        self.net.eval()

    def match_structure(self, state: Mapping[str, Tensor]) -> None:
        """After a checkpoint the backbone is frozen."""
        super().match_structure(state)
        self.settle()


class ComputedHead(FrozenBackbone, Generic[C]):
    """A frozen backbone and a head of type `C` with a solution in closed form.

    Class attributes:
        bias: whether the linear head that trains the backbone has one.
    """

    bias: bool = False

    def build(self, backbone: Backbone) -> IncrementalNet[Any]:
        """A backbone with an ordinary head, which trains it and is then replaced."""
        return IncrementalNet(backbone, LinearHead(backbone.feature_dim, bias=self.bias))

    @abc.abstractmethod
    def new_head(self, trained: TrainedHead) -> C:
        """A computed head with the inputs, classes and device of the trained one."""

    @property
    def computed_head(self) -> C:
        """The computed head, put in the place of the trained one when first needed."""
        if isinstance(self.net.head, TrainedHead):
            self.net.head = self.new_head(self.net.head)
        head: C = self.net.head
        return head

    def settle(self) -> None:
        """Freeze the backbone and replace the head."""
        super().settle()
        self.net.head = self.computed_head
