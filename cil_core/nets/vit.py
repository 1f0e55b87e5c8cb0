"""ViT-B/16 (Dosovitskiy et al. 2021) as a backbone: patches, eleven blocks, last block with layer norm.

The blocks are torchvision's. The feature is the class token after the last layer norm.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import partial

import torch
from torch import Tensor, nn
from torchvision.models.vision_transformer import EncoderBlock

SIZE, PATCH, DIM, BLOCKS, HEADS, HIDDEN = 224, 16, 768, 12, 12, 3072
_norm = partial(nn.LayerNorm, eps=1e-6)


class Patches(nn.Module):
    """Images to tokens: the class token followed by projected patches, with positions added."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.projection = nn.Conv2d(channels, DIM, PATCH, PATCH)
        self.class_token = nn.Parameter(torch.empty(1, 1, DIM))
        self.positions = nn.Parameter(torch.empty(1, (SIZE // PATCH) ** 2 + 1, DIM))

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, 224, 224) → (B, 197, 768)."""
        patches = self.projection(x).flatten(2).transpose(1, 2)
        tokens: Tensor = torch.cat([self.class_token.expand(len(x), -1, -1), patches], dim=1) + self.positions
        return tokens


class LastBlock(nn.Module):
    """The last block and its layer norm; returns the first token as a map of one position."""

    def __init__(self) -> None:
        super().__init__()
        self.block = _block()
        self.norm = _norm(DIM)

    def forward(self, tokens: Tensor) -> Tensor:
        """(B, 197, 768) → (B, 768, 1, 1)."""
        feature: Tensor = self.norm(self.block(tokens)[:, 0])
        return feature[:, :, None, None]


def layout(channels: int) -> tuple[nn.Module, Sequence[nn.Module], int]:
    """Stem, stages and feature dimension."""
    return Patches(channels), [nn.Sequential(*(_block() for _ in range(BLOCKS - 1))), LastBlock()], DIM


def initialise(module: nn.Module, generator: torch.Generator) -> None:
    """Draw fresh weights as torchvision does, all from `generator`."""
    for part in module.modules():
        if isinstance(part, Patches):
            fan_in = part.projection.in_channels * PATCH**2
            nn.init.trunc_normal_(part.projection.weight, std=math.sqrt(1 / fan_in), generator=generator)
            if part.projection.bias is not None:
                nn.init.zeros_(part.projection.bias)
            nn.init.zeros_(part.class_token)
            nn.init.normal_(part.positions, std=0.02, generator=generator)
        elif isinstance(part, nn.MultiheadAttention):
            nn.init.xavier_uniform_(part.in_proj_weight, generator=generator)
            nn.init.zeros_(part.in_proj_bias)
            _linear(part.out_proj, generator, 0.0)
        elif isinstance(part, EncoderBlock):
            for layer in part.mlp:
                if isinstance(layer, nn.Linear):
                    _linear(layer, generator, 1e-6)
        elif isinstance(part, nn.LayerNorm):
            part.reset_parameters()


def renamed(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """A state dict of torchvision's `vit_b_16` under the names of `Backbone`, without its classifier."""
    names = {
        "class_token": "trunk.0.class_token",
        "encoder.pos_embedding": "trunk.0.positions",
        "encoder.ln.": "specialised.0.norm.",
    }
    names |= {"conv_proj.": "trunk.0.projection."}
    names |= {f"encoder.layers.encoder_layer_{index}.": f"trunk.1.{index}." for index in range(BLOCKS - 1)}
    names[f"encoder.layers.encoder_layer_{BLOCKS - 1}."] = "specialised.0.block."
    return {
        ours + name.removeprefix(theirs): value
        for name, value in state.items()
        for theirs, ours in names.items()
        if name.startswith(theirs) and not name.startswith("heads.")
    }


def _block() -> EncoderBlock:
    return EncoderBlock(HEADS, DIM, HIDDEN, dropout=0.0, attention_dropout=0.0, norm_layer=_norm)


def _linear(layer: nn.Linear, generator: torch.Generator, bias_std: float) -> None:
    nn.init.xavier_uniform_(layer.weight, generator=generator)
    nn.init.normal_(layer.bias, std=bias_std, generator=generator)
