"""Networks that TagFex trains beside its branches: `AgnosticBranch` and `MergeAttention`.

Decisions:
    * The branch sees no label and learns through all tasks. Its frozen copy is made when a task begins and
      dropped when it ends, so that only the branch itself is kept.
    * Classification needs neither of them.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from cil_core.nets.backbones import Backbone
from cil_core.nets.heads import fresh_rows
from cil_core.nets.incremental import freeze

HIDDEN, EMBEDDING = 2048, 1024
HEADS = 8


class AgnosticBranch(nn.Module):
    """F_a with a projector g and, from the second task on, a predictor h and a frozen copy of F_a and g.

    Args:
        backbone: F_a.
        generator: a CPU generator for the projector.
    """

    predictor: nn.Linear | None
    old: AgnosticBranch | None

    def __init__(self, backbone: Backbone, generator: torch.Generator) -> None:
        super().__init__()
        self.backbone = backbone
        self.projector = nn.Sequential(
            linear(backbone.feature_dim, HIDDEN, generator), nn.ReLU(), linear(HIDDEN, EMBEDDING, generator)
        )
        self.predictor = self.old = None

    def begin(self, generator: torch.Generator) -> None:
        """Freeze a copy as the teacher of a task, and draw the predictor once."""
        self.old = copy.deepcopy(self)
        self.old.predictor = None
        freeze(self.old)
        if self.predictor is None:
            width = self.backbone.feature_dim
            device = next(self.projector.parameters()).device
            self.predictor = linear(width, width, generator).to(device)

    def end(self) -> None:
        """Drop the frozen copy."""
        self.old = None

    def project(self, features: Tensor) -> Tensor:
        """Embeddings (B, 1024) of features (B, d)."""
        embeddings: Tensor = self.projector(features)
        return embeddings

    def recall(self, features: Tensor, x: Tensor) -> tuple[Tensor, Tensor]:
        """Embeddings by the old projector: of predicted old features, and of the old features themselves.

        Args:
            features: F_a(x), (B, d).
            x: prepared images.

        Raises:
            RuntimeError: in the first task, which has no frozen copy.
        """
        if self.old is None or self.predictor is None:
            raise RuntimeError("a frozen copy exists in the second and later tasks, until training ends")
        with torch.no_grad():
            before = self.old.project(self.old.backbone(x))
        return self.old.project(self.predictor(features)), before

    def train(self, mode: bool = True) -> AgnosticBranch:
        """Put the branch into training mode; the frozen copy stays in evaluation mode."""
        super().train(mode)
        if self.old is not None:
            self.old.eval()
        return self

    def match_structure(self, state: Mapping[str, Tensor]) -> None:
        """The predictor exists once a second task began."""
        if "predictor.weight" in state:
            self.predictor = nn.Linear(*state["predictor.weight"].shape)


class MergeAttention(nn.Module):
    """Classifies new classes from task-specific tokens that attend to task-agnostic ones and to themselves.

    Args:
        width: d, channels of both maps, a multiple of 8.
        classes: k.
        generator: a CPU generator.
    """

    def __init__(self, width: int, classes: int, generator: torch.Generator) -> None:
        super().__init__()
        self.norms = nn.ModuleList([nn.LayerNorm(width), nn.LayerNorm(width)])
        self.query, self.agnostic_key, self.agnostic_value, self.key, self.value = (
            nn.Parameter(_attention_matrix(width, generator)) for _ in range(5)
        )
        self.head = linear(width, classes, generator)

    def forward(self, agnostic: Tensor, specific: Tensor) -> Tensor:
        """Logits (B, k) of last maps (B, d, H, W).

        The agnostic map is a constant: no gradient flows into it.
        """
        merged: Tensor = self.head(self.merged(agnostic, specific))
        return merged

    def merged(self, agnostic: Tensor, specific: Tensor) -> Tensor:
        """Features (B, d): the mean over tokens of the attention's output."""
        a = self.norms[0](_tokens(agnostic.detach()))
        s = self.norms[1](_tokens(specific))
        keys = torch.cat([a @ self.agnostic_key, s @ self.key], dim=1)
        values = torch.cat([a @ self.agnostic_value, s @ self.value], dim=1)
        attended = F.scaled_dot_product_attention(_by_head(s @ self.query), _by_head(keys), _by_head(values))
        return attended.transpose(1, 2).flatten(2).mean(dim=1)


def linear(inputs: int, outputs: int, generator: torch.Generator) -> nn.Linear:
    """A linear layer with weights uniform in ±√(3/inputs) and bias 0, drawn on the CPU."""
    with torch.device("meta"):
        layer = nn.Linear(inputs, outputs)
    layer.weight = nn.Parameter(fresh_rows(outputs, inputs, generator))
    layer.bias = nn.Parameter(torch.zeros(outputs))
    return layer


def _attention_matrix(width: int, generator: torch.Generator) -> Tensor:
    return nn.init.xavier_normal_(torch.empty(width, width), generator=generator)


def _tokens(maps: Tensor) -> Tensor:
    return maps.flatten(2).transpose(1, 2)  # (B, H·W, d)


def _by_head(tokens: Tensor) -> Tensor:
    split: Tensor = tokens.unflatten(2, (HEADS, -1))
    return split.transpose(1, 2)  # (B, heads, tokens, d / heads)


@torch.no_grad()
def interpolate(target: nn.Module, other: nn.Module, share: float) -> None:
    """θ ← share · θ + (1 − share) · θ_other over all parameters; batch-norm statistics start again."""
    for mine, theirs in zip(target.parameters(), other.parameters(), strict=True):
        mine.mul_(share).add_((1 - share) * theirs)
    for part in target.modules():
        if isinstance(part, nn.BatchNorm2d):
            part.reset_running_stats()
