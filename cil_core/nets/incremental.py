"""`Net`, the interface of every method's network; `IncrementalNet`, one backbone with one growing head."""

from __future__ import annotations

import abc
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Generic, NamedTuple, Protocol

import torch
from torch import Tensor, nn
from typing_extensions import TypeVar

from cil_core.nets.backbones import Backbone


class Outputs(NamedTuple):
    """Output of a network for a batch: logits (B, n) and features (B, d)."""

    logits: Tensor
    features: Tensor


class Head(Protocol):
    """A classifier layer that can grow."""

    @property
    def classes(self) -> int:
        """Rows so far."""
        ...

    def grow(self, new: int, generator: torch.Generator) -> None:
        """Add rows."""
        ...

    def __call__(self, features: Tensor) -> Tensor:
        """Logits (B, n) of features (B, d)."""
        ...


class Net(nn.Module, abc.ABC):
    """A network over the classes seen so far."""

    @abc.abstractmethod
    def features(self, x: Tensor) -> Tensor:
        """Features (B, d) of prepared images (B, C, H, W)."""

    @abc.abstractmethod
    def forward(self, x: Tensor) -> Outputs:
        """Logits and features of prepared images."""

    @abc.abstractmethod
    def grow(self, new: int, generator: torch.Generator) -> None:
        """Make room for `new` more classes."""

    @property
    @abc.abstractmethod
    def classes(self) -> int:
        """n: number of classes it distinguishes."""

    @abc.abstractmethod
    def backbone_parameters(self) -> int:
        """Number of parameters without heads."""

    def match_structure(self, state: Mapping[str, Tensor]) -> None:
        """Create the submodules that `state` has weights for; shapes are adopted afterwards."""


H = TypeVar("H", bound=Head, default=Head)


class IncrementalNet(Net, Generic[H]):
    """A backbone and a head; `IncrementalNet[LinearHead]` names the type of the head.

    Args:
        backbone: computes features.
        head: grows with the classes.
    """

    def __init__(self, backbone: Backbone, head: H) -> None:
        super().__init__()
        self.backbone = backbone
        self.head = head

    def features(self, x: Tensor) -> Tensor:
        """Features (B, d)."""
        features: Tensor = self.backbone(x)
        return features

    def forward(self, x: Tensor) -> Outputs:
        """Logits and features."""
        features = self.features(x)
        return Outputs(self.head(features), features)

    def grow(self, new: int, generator: torch.Generator) -> None:
        """Add `new` rows to the head."""
        self.head.grow(new, generator)

    @property
    def classes(self) -> int:
        """Rows of the head."""
        return self.head.classes

    def backbone_parameters(self) -> int:
        """Number of parameters of the backbone, those that made its inputs included."""
        own = sum(parameter.numel() for parameter in self.backbone.parameters())
        return own + self.backbone.absent_parameters


def freeze(module: nn.Module) -> None:
    """Disable gradients and enter evaluation mode.

    Calling `train()` on a parent module undoes the evaluation mode; the caller must restore it.
    """
    module.zero_grad(set_to_none=True)
    module.requires_grad_(False)
    module.eval()


@contextmanager
def unfrozen(parameter: nn.Parameter) -> Iterator[None]:
    """Let a frozen parameter have gradients meanwhile."""
    parameter.requires_grad_(True)
    try:
        yield
    finally:
        parameter.grad = None
        parameter.requires_grad_(False)


def freeze_batch_norm(module: nn.Module) -> None:
    """Give no gradient to weights and biases of batch norm.

    Statistics stay as they are only in evaluation mode, which the caller must enter.
    """
    for part in module.modules():
        if isinstance(part, nn.BatchNorm2d):
            part.requires_grad_(False)
