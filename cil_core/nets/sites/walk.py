"""`walk`: the forward pass of timm's vision transformer with a `Sites` called at every site."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, Self

import torch.nn.functional as F
from torch import Tensor

Layer = Literal["patches", "norm1", "qkv", "proj", "norm2", "fc1", "fc2", "norm"]
"""A layer whose output a site may change; `patches` and `norm` lie outside the blocks."""


@dataclass(frozen=True, slots=True)
class Shape:
    """Sizes of a vision transformer: width d, heads, blocks and hidden width of the MLP."""

    width: int
    heads: int
    blocks: int
    hidden: int

    @classmethod
    def of(cls, vit: Any) -> Self:
        """Those of timm's network.

        Raises:
            ValueError: if its blocks lack a layer that sites need.
        """
        block = vit.blocks[0]
        if not hasattr(block.attn, "qkv") or not hasattr(block.mlp, "fc1"):
            raise ValueError(f"{type(block).__name__} has no sites: they need the layers qkv, fc1 and fc2")
        return cls(vit.embed_dim, block.attn.num_heads, len(vit.blocks), block.mlp.fc1.out_features)


class Sites:
    """What a method adds in one pass; this one adds nothing. Subclasses override what they change."""

    def output(self, layer: Layer, block: int, given: Tensor, made: Tensor) -> Tensor:  # noqa: ARG002
        """The output of a layer, which made `made` of `given`; `block` is 0 outside the blocks."""
        return made

    def enter(self, tokens: Tensor) -> Tensor:
        """The sequence (B, N, d) before the first block."""
        return tokens

    def leave(self, tokens: Tensor) -> Tensor:
        """The sequence after the last block, before the last norm."""
        return tokens

    def enter_block(self, block: int, tokens: Tensor) -> Tensor:  # noqa: ARG002
        """The sequence before a block."""
        return tokens

    def leave_block(self, block: int, tokens: Tensor) -> Tensor:  # noqa: ARG002
        """The sequence after a block."""
        return tokens

    def keys_values(self, block: int, keys: Tensor, values: Tensor) -> tuple[Tensor, Tensor]:  # noqa: ARG002
        """Keys and values (B, heads, N, d / heads) of a block's attention."""
        return keys, values

    def parallel(self, block: int, attended: Tensor) -> Tensor | None:  # noqa: ARG002
        """A term beside the MLP, of the stream after attention (B, N, d); None for no term."""
        return None

    def feature(self, tokens: Tensor) -> Tensor:
        """The feature (B, d) of the tokens after the last norm: the class token."""
        return tokens[:, 0]


PLAIN = Sites()
"""Adds nothing."""


def walk(vit: Any, x: Tensor, sites: Sites = PLAIN) -> Tensor:
    """Features (B, d) of prepared images.

    Args:
        vit: timm's `VisionTransformer`.
        x: images (B, C, H, W).
        sites: what to add.
    """
    tokens = vit._pos_embed(sites.output("patches", 0, x, vit.patch_embed(x)))
    tokens = sites.enter(vit.norm_pre(vit.patch_drop(tokens)))
    for index, block in enumerate(vit.blocks):
        tokens = sites.leave_block(index, _through(block, index, sites.enter_block(index, tokens), sites))
    tokens = sites.leave(tokens)
    return sites.feature(sites.output("norm", 0, tokens, vit.norm(tokens)))


def _through(block: Any, index: int, tokens: Tensor, sites: Sites) -> Tensor:
    normed = sites.output("norm1", index, tokens, block.norm1(tokens))
    tokens = tokens + block.drop_path1(block.ls1(_attention(block.attn, index, normed, sites)))
    normed = sites.output("norm2", index, tokens, block.norm2(tokens))
    after: Tensor = tokens + block.drop_path2(block.ls2(_mlp(block.mlp, index, normed, sites)))
    term = sites.parallel(index, tokens)
    return after if term is None else after + term


def _attention(attention: Any, index: int, tokens: Tensor, sites: Sites) -> Tensor:
    batch, length, _ = tokens.shape
    packed = sites.output("qkv", index, tokens, attention.qkv(tokens))
    heads = packed.reshape(batch, length, 3, attention.num_heads, attention.head_dim).permute(2, 0, 3, 1, 4)
    queries, keys, values = heads.unbind(0)
    keys, values = sites.keys_values(index, attention.k_norm(keys), values)
    mixed = F.scaled_dot_product_attention(attention.q_norm(queries), keys, values)
    mixed = attention.norm(mixed.transpose(1, 2).reshape(batch, length, attention.attn_dim))
    projected: Tensor = sites.output("proj", index, mixed, attention.proj(mixed))
    return projected


def _mlp(mlp: Any, index: int, tokens: Tensor, sites: Sites) -> Tensor:
    hidden: Tensor = mlp.norm(mlp.act(sites.output("fc1", index, tokens, mlp.fc1(tokens))))
    return sites.output("fc2", index, hidden, mlp.fc2(hidden))
