"""`FutureNet`: a network with outputs for all classes of the protocol from the start (X-DER)."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from cil_core.nets.backbones import Backbone
from cil_core.nets.heads import LinearHead
from cil_core.nets.incremental import IncrementalNet, Outputs


class FutureNet(IncrementalNet[LinearHead]):
    """A backbone and a linear head whose outputs of classes to come are trained but do not classify.

    Args:
        backbone: computes features.
        total: N, classes of the whole protocol.
        generator: initialises the head.
    """

    seen: Tensor

    def __init__(self, backbone: Backbone, total: int, generator: torch.Generator) -> None:
        super().__init__(backbone, LinearHead(backbone.feature_dim))
        self.head.grow(total, generator)
        self.register_buffer("seen", torch.zeros((), dtype=torch.long))

    def every_logit(self, x: Tensor) -> Tensor:
        """Logits (B, N), those of classes to come included."""
        logits: Tensor = self.head(self.features(x))
        return logits

    def forward(self, x: Tensor) -> Outputs:
        """Logits of seen classes, and features."""
        outputs = super().forward(x)
        return Outputs(outputs.logits[:, : self.classes], outputs.features)

    def grow(self, new: int, generator: torch.Generator) -> None:  # noqa: ARG002 — all rows exist
        """Count `new` more classes as seen."""
        self.seen = self.seen + new

    @property
    def classes(self) -> int:
        """Classes seen so far."""
        return int(self.seen)


@contextmanager
def still_statistics(module: nn.Module) -> Iterator[None]:
    """Normalise by the batch, as in training, but leave running statistics alone."""
    norms = [part for part in module.modules() if isinstance(part, nn.BatchNorm2d)]
    for norm in norms:
        norm.track_running_stats = False
    try:
        yield
    finally:
        for norm in norms:
            norm.track_running_stats = True
