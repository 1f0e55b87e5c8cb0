"""`ExpandableNet`: one extractor per task with concatenated features (DER, Yan et al. 2021).

MEMO and FOSTER are special cases.

Decisions:
    * An extractor is a whole backbone, or the last stage of one behind a shared trunk (MEMO).
    * Only the newest extractor is trained, and the trunk unless it is frozen. Frozen parts stay in evaluation
      mode when the network enters training mode, so that batch-norm statistics do not change either. A
      trainable trunk gets gradients through frozen extractors too.
    * The auxiliary head sees only the newest extractor and exists from growth to the end of training.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping

import torch
from torch import Tensor, nn

from cil_core.nets.heads import LinearHead
from cil_core.nets.incremental import Net, Outputs, freeze


class ExpandableNet(Net):
    """A list of extractors and one head over all their features.

    Args:
        extractor: the first one.
        width: d, features per extractor.
        trunk: applied before every extractor; by default the identity.
        bias: whether the head has a bias.
    """

    auxiliary: LinearHead | None

    def __init__(
        self, extractor: nn.Module, width: int, *, trunk: nn.Module | None = None, bias: bool = True
    ) -> None:
        super().__init__()
        self.width = width
        self.trunk = nn.Identity() if trunk is None else trunk
        self.extractors = nn.ModuleList([extractor])
        self.head = LinearHead(width, bias=bias)
        self.auxiliary = None

    @property
    def newest(self) -> nn.Module:
        """F_t, the extractor in training."""
        return self.extractors[-1]

    @property
    def classes(self) -> int:
        """Rows of the head."""
        return self.head.classes

    def grow(self, new: int, generator: torch.Generator) -> None:
        """Add `new` rows to the head."""
        self.head.grow(new, generator)

    def expand(
        self,
        extractor: nn.Module,
        new: int,
        generator: torch.Generator,
        *,
        inherit: bool,
        outputs: int | None = None,
    ) -> None:
        """Freeze the existing extractors; add one, its columns and rows in the head, and an auxiliary head.

        Args:
            extractor: F_t.
            new: number of new classes.
            generator: initialises the heads.
            inherit: whether old rows and columns of the head keep their weights; otherwise the whole head is
                fresh.
            outputs: rows of the auxiliary head; by default `new` + 1.
        """
        freeze(self.extractors)
        extractor.requires_grad_(True)
        self.extractors.append(extractor)
        self.head.widen(self.width, generator)
        self.grow(new, generator)
        if not inherit:
            self.reset_heads(generator)
        self.auxiliary = LinearHead(self.width, bias=self.head.bias is not None).to(self.head.weight.device)
        self.auxiliary.grow(new + 1 if outputs is None else outputs, generator)

    def reset_heads(self, generator: torch.Generator) -> None:
        """Draw fresh weights for the head and, if it exists, the auxiliary head."""
        self.head.redraw(generator)
        if self.auxiliary is not None:
            self.auxiliary.redraw(generator)

    def features(self, x: Tensor) -> Tensor:
        """The super-feature (B, t · d)."""
        shared = self.trunk(x)
        return torch.cat([extractor(shared) for extractor in self.extractors], dim=1)

    def forward(self, x: Tensor) -> Outputs:
        """Logits and super-features."""
        features = self.features(x)
        return Outputs(self.head(features), features)

    def auxiliary_logits(self, features: Tensor) -> Tensor:
        """Logits of the auxiliary head from the newest extractor's part of super-features.

        Raises:
            RuntimeError: if the auxiliary head does not exist, as in the first task.
        """
        if self.auxiliary is None:
            raise RuntimeError(
                "an auxiliary head exists from the second task's growth to the end of its training"
            )
        logits: Tensor = self.auxiliary(features[:, -self.width :])
        return logits

    def train(self, mode: bool = True) -> ExpandableNet:
        """Put trainable parts into training mode; frozen ones stay in evaluation mode."""
        super().train(mode)
        for part in (self.trunk, *self.extractors[:-1]):
            if not any(parameter.requires_grad for parameter in part.parameters()):
                part.eval()
        return self

    def backbone_parameters(self) -> int:
        """Parameters of the trunk and of all extractors."""
        return sum(
            parameter.numel() for part in (self.trunk, self.extractors) for parameter in part.parameters()
        )

    def match_structure(self, state: Mapping[str, Tensor]) -> None:
        """Add extractors until there are as many as in `state`."""
        count = 1 + max(int(name.split(".")[1]) for name in state if name.startswith("extractors."))
        while len(self.extractors) < count:
            self.extractors.append(copy.deepcopy(self.newest))


def auxiliary_labels(labels: Tensor, known: int) -> Tensor:
    """Targets of the auxiliary head: 0 for every old class, 1 … k for the new ones (DER, section 3.2)."""
    return (labels - known + 1).clamp(min=0)
