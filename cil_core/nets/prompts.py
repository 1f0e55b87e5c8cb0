"""Networks that a query prompts: `CodaNet`, `DualNet` and `PoolNet`.

The query of an image is its feature in the frozen, unprompted transformer, as a constant. At test time every
choice depends on that image alone.
"""

from __future__ import annotations

from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from cil_core.nets.backbones import Backbone
from cil_core.nets.sited import SitedNet, transformer_of
from cil_core.nets.sites import Between, Prefix, Shape
from cil_core.nets.task_head import TaskHead


class Components(nn.Module):
    """The components that a task adds to CODA-Prompt: keys, attention and prompts of some blocks.

    Args:
        blocks: number of prompted blocks, the first ones.
        count: m, components per block.
        length: prompt tokens, half of them keys and half values.
        width: d.
    """

    def __init__(self, blocks: int, count: int, length: int, width: int) -> None:
        super().__init__()
        self.keys = nn.Parameter(torch.zeros(blocks, count, width))
        self.attention = nn.Parameter(torch.zeros(blocks, count, width))
        self.prompts = nn.Parameter(torch.zeros(blocks, count, length * width))


class CodaNet(SitedNet[TaskHead]):
    """Prefixes that are sums of components, weighted by attention (CODA-Prompt, Smith et al. 2023).

    Args:
        backbone: with the transformer.
        blocks: number of prompted blocks, the first ones.
        count: m, components that every task adds.
        length: prompt tokens, half of them keys and half values.
    """

    def __init__(self, backbone: Backbone, blocks: int, count: int, length: int) -> None:
        def draw(shape: Shape, generator: torch.Generator) -> Components:
            return self._orthogonal(Components(blocks, count, length, shape.width), generator)

        super().__init__(backbone, TaskHead(backbone.feature_dim), draw)

    def _orthogonal(self, fresh: Components, generator: torch.Generator) -> Components:
        """Fill new components with unit vectors orthogonal to each other and to all earlier ones."""
        with torch.no_grad():
            for name, rows in fresh.named_parameters():
                earlier = [getattr(old, name).cpu() for old in self.sites]
                for block in range(len(rows)):
                    known = torch.cat([old[block] for old in earlier]) if earlier else rows[block, :0]
                    rows[block] = orthonormal_rows(rows.shape[1], known, generator)
        return fresh

    def weights(self, query: Tensor) -> Tensor:
        """α (B, blocks, c) of all components so far."""
        return attention_weights(query, self._all("attention"), self._all("keys"))

    def features(self, x: Tensor) -> Tensor:
        """The class token (B, d) with the prefixes of each image."""
        weights = self.weights(self.query(x))
        mixed = torch.einsum("blc,lce->ble", weights, self._all("prompts"))  # (B, blocks, length · d)
        split = mixed.reshape(*mixed.shape[:2], 2, -1, self.shape.width)
        return self.embed(x, Prefix(dict(enumerate(split.unbind(1))), self.shape.heads))

    def _all(self, name: str) -> Tensor:
        return torch.cat([getattr(components, name) for components in self.sites], dim=1)


def attention_weights(query: Tensor, attention: Tensor, keys: Tensor) -> Tensor:
    """cos(q ⊙ A_c, K_c), shape (B, blocks, c).

    Args:
        query: (B, d).
        attention: A, (blocks, c, d).
        keys: K, likewise.
    """
    products = torch.einsum("bd,lcd->blc", query, attention * keys)
    squares = torch.einsum("bd,lcd->blc", query.square(), attention.square())
    cosines: Tensor = products / (squares.clamp(min=1e-24).sqrt() * keys.norm(dim=-1).clamp(min=1e-12))
    return cosines


def orthonormal_rows(count: int, earlier: Tensor, generator: torch.Generator) -> Tensor:
    """Random unit rows (count, d), orthogonal to each other and to the span of `earlier` (r, d).

    The earlier rows need not be orthogonal: their span is projected out, not each row by itself.
    """
    rows = torch.randn(count, earlier.shape[1], generator=generator, dtype=torch.float64)
    if len(earlier):
        basis = torch.linalg.qr(earlier.double().T).Q  # (d, r)
        for _ in range(2):  # the second pass removes what rounding left
            rows = rows - rows @ basis @ basis.T
    found: Tensor = torch.linalg.qr(rows.T).Q.T.to(earlier)
    return found


class Expert(nn.Module):
    """The key of a task in DualPrompt, and its prompts: (blocks, key and value, length, d)."""

    def __init__(self, blocks: int, length: int, width: int, generator: torch.Generator) -> None:
        super().__init__()
        self.prompts = _uniform(blocks, 2, length, width, generator=generator)
        self.key = _uniform(width, generator=generator)


class DualNet(SitedNet[TaskHead]):
    """A general prefix in early blocks and one expert per task behind it (DualPrompt, Wang et al. 2022).

    Args:
        backbone: with the transformer.
        general_blocks: number of blocks with the general prefix, the first ones.
        expert_blocks: number of blocks with an expert's, the next ones.
        general_length: tokens of the general prefix.
        expert_length: tokens of an expert's.
        generator: draws the general prefix.
    """

    def __init__(
        self,
        backbone: Backbone,
        general_blocks: int,
        expert_blocks: int,
        general_length: int,
        expert_length: int,
        generator: torch.Generator,
    ) -> None:
        def draw(shape: Shape, generator: torch.Generator) -> Expert:
            return Expert(expert_blocks, expert_length, shape.width, generator)

        super().__init__(backbone, TaskHead(backbone.feature_dim), draw)
        self.general = _uniform(general_blocks, 2, general_length, self.shape.width, generator=generator)

    @property
    def experts(self) -> list[Expert]:
        """One per task."""
        return [cast("Expert", expert) for expert in self.sites]

    def similarities(self, query: Tensor) -> Tensor:
        """cos(q, K_t) of every expert (B, tasks)."""
        keys = torch.stack([expert.key for expert in self.experts])
        return F.normalize(query, dim=1) @ F.normalize(keys, dim=1).T

    def prompted(self, x: Tensor, chosen: Tensor) -> Tensor:
        """The class token (B, d), with the expert `chosen` (B,) of each image."""
        prompts = torch.stack([expert.prompts for expert in self.experts])[chosen]  # (B, blocks, 2, p, d)
        general = self.general.expand(len(x), *self.general.shape)
        return self.embed(
            x, Prefix(dict(enumerate((*general.unbind(1), *prompts.unbind(1)))), self.shape.heads)
        )

    def features(self, x: Tensor) -> Tensor:
        """The class token with the expert whose key is most similar to the query."""
        return self.prompted(x, self.similarities(self.query(x)).argmax(dim=1))

    def backbone_parameters(self) -> int:
        """The general prefix included."""
        return super().backbone_parameters() + self.general.numel()


class Pool(nn.Module):
    """Prompts (size, length, d) with their keys (size, d)."""

    def __init__(self, size: int, length: int, width: int, generator: torch.Generator) -> None:
        super().__init__()
        self.prompts = _uniform(size, length, width, generator=generator)
        self.keys = _uniform(size, width, generator=generator)


class PoolNet(SitedNet[TaskHead]):
    """One pool of prompts; each image takes those whose keys are most similar to it (L2P, Wang et al. 2022).

    Args:
        backbone: with the transformer.
        size: prompts in the pool.
        length: tokens of a prompt.
        top: N, prompts per image.
    """

    def __init__(self, backbone: Backbone, size: int, length: int, top: int) -> None:
        def draw(shape: Shape, generator: torch.Generator) -> Pool:
            return Pool(size, length, shape.width, generator)

        super().__init__(backbone, TaskHead(backbone.feature_dim), draw)
        self.top = top

    @property
    def pool(self) -> Pool:
        """The pool, which all tasks share."""
        return cast("Pool", self.sites[0])

    def similarities(self, query: Tensor) -> Tensor:
        """cos(q, K_m) of every prompt (B, size)."""
        return F.normalize(query, dim=1) @ F.normalize(self.pool.keys, dim=1).T

    def prompted(self, x: Tensor, chosen: Tensor) -> Tensor:
        """The mean output (B, d) of the prompts `chosen` (B, N), which take the class token's position."""
        tokens = self.pool.prompts[chosen].flatten(1, 2) + transformer_of(self.backbone).pos_embed[:, :1]
        return self.embed(x, Between(tokens))

    def features(self, x: Tensor) -> Tensor:
        """The feature of each image with the prompts that it chooses itself."""
        return self.prompted(x, best(self.similarities(self.query(x)), self.top))


def best(scores: Tensor, count: int) -> Tensor:
    """Indices (B, count) of the largest scores (B, n), largest first; among equals the lowest index."""
    return scores.sort(dim=1, descending=True, stable=True).indices[:, :count]


def most_frequent(chosen: Tensor, count: int, size: int) -> Tensor:
    """The choice of a whole batch (count,): the ids that most of its images chose, most frequent first.

    Args:
        chosen: ids by image (B, N).
        count: ids to return; they differ from each other.
        size: number of ids. Among equally frequent ones, unused included, the lowest comes first.
    """
    frequency = F.one_hot(chosen.flatten(), size).sum(dim=0)
    return best(frequency[None], count)[0]


def _uniform(*size: int, generator: torch.Generator) -> nn.Parameter:
    return nn.Parameter(torch.empty(size).uniform_(-1, 1, generator=generator))
