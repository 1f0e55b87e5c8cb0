"""`Backbone` turns images into features in stages; `build_backbone` creates one by name.

Decisions:
    * Every backbone is a stem and a sequence of stages. All but the last stage are the `trunk`; the last one
      with the pooling is `specialised`, a module of its own that can be copied (MEMO). Features are the mean
      over positions of the last stage's output.
    * All weights come from the given CPU generator: Kaiming-normal over outgoing connections for
      convolutions, identity for batch norm. Modules are created without storage, so that PyTorch's default
      initialisation does not draw from the global generator.
    * The prefix `cosine_` of a name selects the variant with features of both signs.
    * Only backbones compute in lower precision: they run under autocast and return float32, so that heads,
      losses, means and transport plans keep full precision.
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
"""Type of the computation by the name of a track's precision."""

Layout = tuple[nn.Module, Sequence[nn.Module], int]
"""Stem, stages and features of a backbone."""


class MeanPool(nn.Module):
    """The mean over all positions, in float32."""

    def forward(self, maps: Tensor) -> Tensor:
        """(B, d, H, W) → (B, d)."""
        return maps.mean(dim=(2, 3), dtype=torch.float32)


class Part(nn.Sequential):
    """A sequence of modules that computes in `precision` and returns float32; parameters are float32."""

    precision = torch.float32

    def forward(self, x: Tensor) -> Tensor:
        """The output of the last module, float32."""
        with torch.autocast(x.device.type, self.precision, enabled=self.precision is not torch.float32):
            for module in self:
                x = module(x)
        return x.float()


class Backbone(nn.Module):
    """Turns images (B, C, H, W) into features (B, feature_dim).

    Args:
        stem: the first module.
        stages: the other modules, in order.
        feature_dim: channels of the last stage.

    Attributes:
        trunk: stem and all stages but the last.
        specialised: the last stage and the pooling; `backbone(x)` equals `specialised(trunk(x))`.
        compiled_batches: batch sizes for which the backbone and its copies use compiled code.
        absent_parameters: of a network that computed its inputs before the run, and is charged with it.
    """

    def __init__(self, stem: nn.Module, stages: Sequence[nn.Module], feature_dim: int) -> None:
        super().__init__()
        self.trunk = Part(stem, *stages[:-1])
        self.specialised = Part(stages[-1], MeanPool())
        self.feature_dim = feature_dim
        self.compiled_batches: frozenset[int] = frozenset()
        self.absent_parameters = 0

    def forward(self, x: Tensor) -> Tensor:
        """Features (B, feature_dim)."""
        if len(x) not in self.compiled_batches:
            return self.through_parts(x)
        features: Tensor = compiled(Backbone.through_parts, x.device.type)(self, x)
        return features.clone() if x.is_cuda else features

    def through_parts(self, x: Tensor) -> Tensor:
        """Features (B, feature_dim), without compiled code."""
        features: Tensor = self.specialised(self.trunk(x))
        return features

    def maps(self, x: Tensor) -> tuple[Tensor, ...]:
        """The output (B, C, H, W) of every stage, float32.

        It follows the stage's ReLU, which the last stage of a cosine variant lacks.
        """
        with torch.autocast(x.device.type, self.precision, enabled=self.precision is not torch.float32):
            outputs = [self.trunk[0](x)]
            for stage in (*self.trunk[1:], self.specialised[0]):
                outputs.append(stage(outputs[-1]))
        return tuple(output.float() for output in outputs[1:])

    @property
    def precision(self) -> torch.dtype:
        """The type that its convolutions compute in."""
        return self.trunk.precision

    def compute_in(self, precision: torch.dtype) -> None:
        """Set the type of the computation, float32 or bfloat16; parameters stay float32."""
        self.trunk.precision = self.specialised.precision = precision

    def pool(self, last_map: Tensor) -> Tensor:
        """Features (B, feature_dim) of the last of `maps`."""
        features: Tensor = self.specialised[1](last_map)
        return features


class ChannelGate(NamedTuple):
    """A place where channels can be masked and pruned.

    `owner.gate` acts on the output of `conv` and `norm`, which only `following` reads.
    """

    owner: resnet.BasicBlock | convnet.ConvBlock
    conv: nn.Conv2d
    norm: nn.BatchNorm2d
    following: nn.Conv2d


def channel_gates(module: nn.Module) -> tuple[ChannelGate, ...]:
    """Every gate of a backbone or of a part of one, in the order of data flow."""
    residual = [block for block in module.modules() if isinstance(block, resnet.BasicBlock)]
    plain = [block for block in module.modules() if isinstance(block, convnet.ConvBlock)]
    return (
        *(ChannelGate(block, block.conv1, block.norm1, block.conv2) for block in residual),
        *(ChannelGate(block, block.conv, block.norm, after.conv) for block, after in pairwise(plain)),
    )


def build_backbone(name: str, channels: int, generator: torch.Generator) -> Backbone:
    """A freshly initialised backbone on the CPU.

    Args:
        name: a key of the catalogue `BACKBONES`.
        channels: of the images.
        generator: a CPU generator, the only source of the weights.

    Raises:
        ValueError: if the catalogue does not contain `name`.
    """
    if name not in BACKBONES:
        raise ValueError(f"unknown backbone {name!r}; known: {', '.join(sorted(BACKBONES))}")
    layout: Callable[[int], Layout] = partial(
        _layout, name.removeprefix(SIGNED), signed=name.startswith(SIGNED)
    )
    draw = initialise
    if name == "vit_b16":
        # imports all of torchvision, which PyTorch 2.8 cannot import while a default device is set
        from cil_core.nets import vit  # noqa: PLC0415

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
    """Draw fresh weights for every convolution and reset every batch norm in `module`."""
    for part in module.modules():
        if isinstance(part, nn.Conv2d):
            nn.init.kaiming_normal_(part.weight, mode="fan_out", nonlinearity="relu", generator=generator)
        elif isinstance(part, nn.BatchNorm2d):
            part.reset_parameters()
