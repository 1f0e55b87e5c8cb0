"""`Backbone`: images to features in stages, and `build_backbone`, which makes one by name.

Decisions:
    * Every backbone is a stem and a row of stages. All but the last stage are the `trunk`, the last one with the pooling is `specialised`, a
      module of its own that can be copied (MEMO). Features are the mean over positions of the last stage's output.
    * Weights are drawn from the given CPU generator alone: Kaiming-normal over outgoing connections for convolutions, identity for batch
      normalisation. Modules are created without storage, so that PyTorch's default initialisation draws nothing from the global generator.
    * A name may start with `cosine_`: the variant with features of both signs.
    * Lower precision is a matter of the backbone alone: it computes under autocast and gives float32, so that heads, losses, means and
      transport plans are as exact as ever.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from itertools import pairwise
from typing import NamedTuple

import torch
from torch import Tensor, nn

from cil_core.nets import convnet, resnet
from cil_core.nets.compilation import compiled
from cil_core.spec.catalog import BACKBONES

SIGNED = "cosine_"
PRECISIONS = {"fp32": torch.float32, "bf16": torch.bfloat16}
"""What a track's precision means."""


Layout = tuple[nn.Module, Sequence[nn.Module], int]
"""Stem, stages and features of a backbone."""


class MeanPool(nn.Module):
    """The mean over all positions, in float32."""

    def forward(self, maps: Tensor) -> Tensor:
        """(B, d, H, W) → (B, d)."""
        return maps.mean(dim=(2, 3), dtype=torch.float32)


class Part(nn.Sequential):
    """Modules in a row that compute in `precision` and give float32; their parameters are float32."""

    precision = torch.float32

    def forward(self, x: Tensor) -> Tensor:
        """What the last module gives."""
        with torch.autocast(x.device.type, self.precision, enabled=self.precision is not torch.float32):
            for module in self:
                x = module(x)
        return x.float()


class Backbone(nn.Module):
    """Turns images (B, C, H, W) into features (B, feature_dim).

    Args:
        stem: comes first.
        stages: the rest, in order.
        feature_dim: channels of the last stage.

    Attributes:
        trunk: stem and all stages but the last.
        specialised: the last stage and the pooling; `backbone(x)` equals `specialised(trunk(x))`.
        compiled_batches: batches of these sizes are computed by compiled code; copies do so too.
    """

    def __init__(self, stem: nn.Module, stages: Sequence[nn.Module], feature_dim: int) -> None:
        super().__init__()
        self.trunk = Part(stem, *stages[:-1])
        self.specialised = Part(stages[-1], MeanPool())
        self.feature_dim = feature_dim
        self.compiled_batches: frozenset[int] = frozenset()

    def forward(self, x: Tensor) -> Tensor:
        """Features (B, feature_dim)."""
        if len(x) not in self.compiled_batches:
            return self.through_parts(x)
        features: Tensor = compiled(Backbone.through_parts, x.device.type)(self, x)
        return features.clone() if x.is_cuda else features

    def through_parts(self, x: Tensor) -> Tensor:
        """Features (B, feature_dim), by the modules themselves."""
        features: Tensor = self.specialised(self.trunk(x))
        return features

    def maps(self, x: Tensor) -> tuple[Tensor, ...]:
        """The output (B, C, H, W) of every stage; after its ReLU, which the last stage of a cosine variant lacks."""
        with torch.autocast(x.device.type, self.precision, enabled=self.precision is not torch.float32):
            outputs = [self.trunk[0](x)]
            for stage in (*self.trunk[1:], self.specialised[0]):
                outputs.append(stage(outputs[-1]))
        return tuple(output.float() for output in outputs[1:])

    @property
    def precision(self) -> torch.dtype:
        """What its convolutions compute in."""
        return self.trunk.precision

    def compute_in(self, precision: torch.dtype) -> None:
        """Compute in float32 or bfloat16 from now on; parameters stay float32."""
        self.trunk.precision = self.specialised.precision = precision

    def pool(self, last_map: Tensor) -> Tensor:
        """Features of the last of `maps`."""
        features: Tensor = self.specialised[1](last_map)
        return features


class ChannelGate(NamedTuple):
    """A place where channels can be masked and pruned: `owner.gate` acts on what `conv` and `norm` give and only `following` takes."""

    owner: resnet.BasicBlock | convnet.ConvBlock
    conv: nn.Conv2d
    norm: nn.BatchNorm2d
    following: nn.Conv2d


def channel_gates(module: nn.Module) -> tuple[ChannelGate, ...]:
    """Every gate of a backbone or of a part of one, in the order of the data."""
    residual = [block for block in module.modules() if isinstance(block, resnet.BasicBlock)]
    plain = [block for block in module.modules() if isinstance(block, convnet.ConvBlock)]
    return (
        *(ChannelGate(block, block.conv1, block.norm1, block.conv2) for block in residual),
        *(ChannelGate(block, block.conv, block.norm, after.conv) for block, after in pairwise(plain)),
    )


def build_backbone(name: str, channels: int, generator: torch.Generator) -> Backbone:
    """A freshly initialised backbone on the CPU.

    Args:
        name: one of the catalogue.
        channels: of the images.
        generator: a CPU generator, the only source of the weights.

    Raises:
        ValueError: if there is no such backbone.
    """
    if name not in BACKBONES:
        raise ValueError(f"unknown backbone {name!r}; known: {', '.join(sorted(BACKBONES))}")
    layout: Callable[[int], Layout] = partial(
        _layout, name.removeprefix(SIGNED), signed=name.startswith(SIGNED)
    )
    draw = initialise
    if name == "vit_b16":
        from cil_core.nets import vit  # noqa: PLC0415 - it brings all of torchvision with it, which PyTorch 2.8 cannot import while a default device is set

        layout, draw = vit.layout, vit.initialise
    with torch.device("meta"):
        backbone = Backbone(*layout(channels))
    backbone.to_empty(device="cpu")
    draw(backbone, generator)
    return backbone


def _layout(name: str, channels: int, *, signed: bool) -> Layout:
    if name == "convnet":
        return nn.Identity(), convnet.stages(channels, signed=signed), convnet.WIDTHS[-1]
    if name.startswith("resnet18"):
        stem = resnet.imagenet_stem if name == "resnet18_imagenet" else resnet.cifar_stem
        return stem(channels, 64), resnet.stages((64, 128, 256, 512), 2, projection=True, signed=signed), 512
    depth = int(name.removeprefix("resnet"))  # 6n + 2
    return (
        resnet.cifar_stem(channels, 16),
        resnet.stages((16, 32, 64), (depth - 2) // 6, projection=signed, signed=signed),
        64,
    )


def initialise(module: nn.Module, generator: torch.Generator) -> None:
    """Fresh weights for every convolution and batch normalisation in `module`."""
    for part in module.modules():
        if isinstance(part, nn.Conv2d):
            nn.init.kaiming_normal_(part.weight, mode="fan_out", nonlinearity="relu", generator=generator)
        elif isinstance(part, nn.BatchNorm2d):
            part.reset_parameters()
