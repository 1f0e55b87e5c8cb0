"""`ExpandableNet`: one extractor a task, their features side by side (DER, Yan et al. 2021).

Decisions:
    * Only the newest extractor trains. Older ones are frozen and stay in evaluation mode whatever mode the network is put into, so that their
      batch-norm statistics cannot drift; they are evaluated without a graph.
    * Widths may differ from extractor to extractor; the head's columns follow in the order of the extractors.
    * The auxiliary head sees the newest extractor alone and lives from growth to the end of training.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping

import torch
from torch import Tensor, nn

from cil_core.nets.backbones import Backbone
from cil_core.nets.heads import LinearHead
from cil_core.nets.incremental import Net, Outputs, frozen


class ExpandableNet(Net):
    """A row of extractors and one head over all their features.

    Args:
        backbone: the first extractor.
        bias: whether the head has a bias.
    """

    auxiliary: LinearHead | None

    def __init__(self, backbone: Backbone, *, bias: bool = True) -> None:
        super().__init__()
        self.extractors = nn.ModuleList([backbone])
        self.head = LinearHead(backbone.feature_dim, bias=bias)
        self.auxiliary = None

    @property
    def newest(self) -> Backbone:
        """F_t, the extractor that trains."""
        newest = self.extractors[-1]
        assert isinstance(newest, Backbone)  # noqa: S101 — a ModuleList does not know its element type
        return newest

    @property
    def classes(self) -> int:
        """Rows of the head."""
        return self.head.classes

    def grow(self, new: int, generator: torch.Generator) -> None:
        """Add `new` rows to the head."""
        self.head.grow(new, generator)

    def expand(self, extractor: Backbone, new: int, generator: torch.Generator, *, inherit: bool) -> None:
        """Freeze what there is and add an extractor, columns and rows for it, and an auxiliary head with `new` + 1 outputs.

        Args:
            extractor: F_t.
            new: classes that arrive.
            generator: initialises the heads.
            inherit: whether the old head is kept as the block of old rows and columns; otherwise the whole head is fresh.
        """
        frozen(self.extractors)
        extractor.requires_grad_(True)
        self.extractors.append(extractor)
        self.head.widen(extractor.feature_dim, generator)
        self.grow(new, generator)
        if not inherit:
            self.reset_head(generator)
        self.auxiliary = LinearHead(extractor.feature_dim).to(self.head.weight.device)
        self.auxiliary.grow(new + 1, generator)

    def reset_head(self, generator: torch.Generator) -> None:
        """A fresh head of the same shape."""
        head = LinearHead(self.head.weight.shape[1], bias=self.head.bias is not None).to(self.head.weight.device)
        head.grow(self.classes, generator)
        self.head = head

    def features(self, x: Tensor) -> Tensor:
        """The super-feature (B, Σ d_i)."""
        with torch.no_grad():
            old = [extractor(x) for extractor in self.extractors[:-1]]
        return torch.cat([*old, self.newest(x)], dim=1)

    def forward(self, x: Tensor) -> Outputs:
        """Logits and super-features."""
        features = self.features(x)
        return Outputs(self.head(features), features)

    def auxiliary_logits(self, features: Tensor) -> Tensor:
        """Logits (B, k + 1) of the newest extractor's part of super-features.

        Raises:
            RuntimeError: if there is no auxiliary head, as in the first task.
        """
        if self.auxiliary is None:
            raise RuntimeError("an auxiliary head exists from the second task's growth to the end of its training")
        logits: Tensor = self.auxiliary(features[:, -self.newest.feature_dim :])
        return logits

    def train(self, mode: bool = True) -> ExpandableNet:
        """Training mode for the newest extractor and the heads; older extractors stay in evaluation mode."""
        super().train(mode)
        for extractor in self.extractors[:-1]:
            extractor.eval()
        return self

    def backbone_parameters(self) -> int:
        """Parameters of all extractors."""
        return sum(parameter.numel() for parameter in self.extractors.parameters())

    def match_structure(self, state: Mapping[str, Tensor]) -> None:
        """As many extractors as `state` has."""
        count = 1 + max(int(name.split(".")[1]) for name in state if name.startswith("extractors."))
        while len(self.extractors) < count:
            self.extractors.append(copy.deepcopy(self.newest))


def auxiliary_labels(labels: Tensor, known: int) -> Tensor:
    """Targets of the auxiliary head: 0 for every old class, 1 … k for the new ones (DER, section 3.2)."""
    return (labels - known + 1).clamp(min=0)
