"""S5, SSF (Lian et al. 2022): γ ⊙ f + β after every layer."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from cil_core.nets.sites.walk import Layer, Shape, Sites

SPREAD = 0.02


class ScaleShift(nn.Module, Sites):
    """A scale and a shift per channel after patches, norms and linear layers.

    Scales start at N(1, 0.02²) and shifts at N(0, 0.02²), so that a fresh site is not neutral.

    Args:
        shape: of the network.
        generator: a CPU generator, the only source of the start values.
    """

    def __init__(self, shape: Shape, generator: torch.Generator) -> None:
        super().__init__()
        width = shape.width
        inside = {"norm1": width, "qkv": 3 * width, "proj": width, "norm2": width, "fc1": shape.hidden}
        sizes = {name: (shape.blocks, size) for name, size in {**inside, "fc2": width}.items()}
        sizes |= {"patches": (1, width), "norm": (1, width)}
        self.scale, self.shift = nn.ParameterDict(), nn.ParameterDict()
        for layer, size in sizes.items():
            self.scale[layer] = nn.Parameter(1 + SPREAD * torch.randn(size, generator=generator))
            self.shift[layer] = nn.Parameter(SPREAD * torch.randn(size, generator=generator))

    def output(self, layer: Layer, block: int, given: Tensor, made: Tensor) -> Tensor:  # noqa: ARG002
        """The layer's output, scaled and shifted."""
        changed: Tensor = made * self.scale[layer][block] + self.shift[layer][block]
        return changed
