"""Learnt channel masks and the pruning that follows (DER, Yan et al. 2021, section 3.3).

Masks are trained as in HAT (Serra et al. 2018).

A mask m = σ(s·e) multiplies the channels at a gate, after batch norm and ReLU; before them, batch norm would
cancel the factor. Gates are inside residual blocks, so that the residual stream is untouched and pruning
changes the function by rounding only.

Decisions:
    * The slope s rises linearly over each epoch from 1/s_max to s_max. The gradient of e is (∂L/∂m)·σ(e)(1 −
      σ(e)). This equals compensating for the slope, without the division that underflows at large s.
    * e is clamped to ±6 and has no weight decay, which would pull every channel to the undecided 0.
    * A channel is kept if e > 0; every layer keeps at least its best one.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from cil_core.nets.backbones import ChannelGate, channel_gates

LIMIT = 6.0


class _Mask(torch.autograd.Function):
    """σ(s·e) whose gradient does not depend on s."""

    @staticmethod
    def forward(ctx: Any, e: Tensor, slope: float) -> Tensor:
        """M = σ(s·e)."""
        ctx.save_for_backward(e)
        return torch.sigmoid(slope * e)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        """(∂L/∂m)·σ(e)(1 − σ(e))."""
        (e,) = ctx.saved_tensors
        sigmoid = torch.sigmoid(e)
        return gradient * sigmoid * (1 - sigmoid), None


class ChannelMask(nn.Module):
    """One mask value per channel.

    Args:
        channels: c_l.
        spread: e starts uniform in (0, spread), so that every channel starts as kept.
        generator: a CPU generator.
    """

    def __init__(self, channels: int, spread: float, generator: torch.Generator) -> None:
        super().__init__()
        self.e = nn.Parameter(torch.rand(channels, generator=generator) * spread)
        self.slope = 1.0

    def values(self) -> Tensor:
        """M (c_l,), in (0, 1)."""
        mask: Tensor = _Mask.apply(self.e, self.slope)
        return mask

    def kept(self) -> Tensor:
        """Channels to keep, bool (c_l,); at least one is true."""
        kept = self.e.detach() > 0
        kept[self.e.argmax()] = True
        return kept

    def forward(self, x: Tensor) -> Tensor:
        """Masked activations (B, c_l, H, W)."""
        return x * self.values()[None, :, None, None]


class Masks:
    """The masks of one extractor; creating them puts them into its gates.

    Args:
        extractor: receives a mask in every gate.
        spread: e starts uniform in (0, spread).
        slope_max: s_max.
        generator: a CPU generator for the initial e.
    """

    def __init__(
        self, extractor: nn.Module, spread: float, slope_max: float, generator: torch.Generator
    ) -> None:
        self.extractor = extractor
        self.slope_max = slope_max
        self.gates: Sequence[ChannelGate] = channel_gates(extractor)
        self.masks = [
            ChannelMask(gate.conv.out_channels, spread, generator).to(gate.conv.weight.device)
            for gate in self.gates
        ]
        for gate, mask in zip(self.gates, self.masks, strict=True):
            gate.owner.gate = mask

    @property
    def parameters(self) -> list[nn.Parameter]:
        """The e of every mask."""
        return [mask.e for mask in self.masks]

    def anneal(self, index: int, steps: int) -> None:
        """Set the slope of step `index` of `steps` in an epoch."""
        slope = annealed_slope(index, steps, self.slope_max)
        for mask in self.masks:
            mask.slope = slope

    @torch.no_grad()
    def clamp(self) -> None:
        """Keep e within ±6."""
        for mask in self.masks:
            mask.e.clamp_(-LIMIT, LIMIT)

    def sparsity(self) -> Tensor:
        """L_S: the share of convolution weights that the masks keep, a scalar in (0, 1].

        It is Σ K·‖m_in‖₁·‖m_out‖₁ / Σ K·c_in·c_out over all convolutions with K taps.
        """
        values = [mask.values().sum() for mask in self.masks]
        leaving = {id(gate.conv): value for gate, value in zip(self.gates, values, strict=True)}
        entering = {id(gate.following): value for gate, value in zip(self.gates, values, strict=True)}
        total, kept = 0, torch.zeros((), device=values[0].device)
        for conv in self.extractor.modules():
            if isinstance(conv, nn.Conv2d):
                taps = conv.kernel_size[0] * conv.kernel_size[1]
                total += taps * conv.in_channels * conv.out_channels
                kept = kept + taps * entering.get(id(conv), conv.in_channels) * leaving.get(
                    id(conv), conv.out_channels
                )
        return kept / total

    def prune(self) -> None:
        """Remove the channels that are not kept, and the masks.

        The smaller extractor computes the same features, up to rounding, as the original under masks of 0 and
        1.
        """
        for gate, mask in zip(self.gates, self.masks, strict=True):
            _keep_outputs(gate.conv, gate.norm, mask.kept())
            _keep_inputs(gate.following, mask.kept())
        self.remove()

    def remove(self) -> None:
        """Remove the masks from the gates."""
        for gate in self.gates:
            gate.owner.gate = nn.Identity()


def annealed_slope(index: int, steps: int, slope_max: float) -> float:
    """The slope s of step `index` (from 0) of `steps` in an epoch.

    It is 1/s_max at the first step and s_max at the last; s_max if the epoch has one step.
    """
    low = 1 / slope_max
    return slope_max if steps == 1 else low + (slope_max - low) * index / (steps - 1)


def _keep_outputs(conv: nn.Conv2d, norm: nn.BatchNorm2d, kept: Tensor) -> None:
    conv.weight = nn.Parameter(conv.weight.detach()[kept])
    conv.out_channels = norm.num_features = int(kept.sum())
    norm.weight, norm.bias = nn.Parameter(norm.weight.detach()[kept]), nn.Parameter(norm.bias.detach()[kept])
    if norm.running_mean is not None and norm.running_var is not None:
        norm.running_mean, norm.running_var = norm.running_mean[kept], norm.running_var[kept]


def _keep_inputs(conv: nn.Conv2d, kept: Tensor) -> None:
    conv.weight = nn.Parameter(conv.weight.detach()[:, kept])
    conv.in_channels = int(kept.sum())


@torch.no_grad()
def reestimate_statistics(extractor: nn.Module, batches: Sequence[Tensor]) -> None:
    """Replace batch-norm statistics by their plain average over `batches` of prepared images (B, C, H, W).

    Weights stay unchanged; the extractor is in evaluation mode afterwards.
    """
    norms = [module for module in extractor.modules() if isinstance(module, nn.BatchNorm2d)]
    momenta = [norm.momentum for norm in norms]
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None  # cumulative average
    extractor.train()
    for x in batches:
        extractor(x)
    extractor.eval()
    for norm, momentum in zip(norms, momenta, strict=True):
        norm.momentum = momentum
