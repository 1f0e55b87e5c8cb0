"""How much parameters change a network's outputs: the importance of MAS (Aljundi et al., ECCV 2018)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

import torch
from torch import Tensor, nn
from torch.func import functional_call, grad, vmap

from cil_core.learning.importance import CHUNK
from cil_core.learning.phase import TrainingData

Norm = Literal["squared", "plain"]


def sensitivity(net: nn.Module, data: TrainingData, norm: Norm, batch_size: int = 1) -> dict[str, Tensor]:
    """The mean over images of |∂‖z‖²/∂θ|, by parameter name.

    The network is in evaluation mode meanwhile, and images are not augmented. Labels have no effect.

    Args:
        net: `net(x).logits` is z, over all its classes.
        data: images to average over, in their order.
        norm: whether ‖z‖² or ‖z‖ is derived.
        batch_size: images whose gradients are summed before the absolute value is taken. More than one makes
            opposite signs cancel.

    Returns:
        By parameter name, a tensor in the parameter's shape.
    """
    was_training = net.training
    net.eval()
    parameters = {name: value.detach() for name, value in net.named_parameters()}
    total = {name: torch.zeros_like(value) for name, value in parameters.items()}
    each = _of_images if batch_size == 1 else _of_batches
    for gradients in each(net, parameters, data, norm, batch_size):
        for name, value in gradients.items():
            total[name] += value
    net.train(was_training)
    return {name: value / len(data) for name, value in total.items()}


def _of_images(
    net: nn.Module, parameters: dict[str, Tensor], data: TrainingData, norm: Norm, batch_size: int
) -> Iterator[dict[str, Tensor]]:
    """Sums of the absolute gradients of `CHUNK` images."""

    def size(values: dict[str, Tensor], x: Tensor) -> Tensor:
        return _norm(functional_call(net, values, (x[None],)).logits, norm)

    gradients_of = vmap(grad(size), in_dims=(None, 0))
    for batch in data.batches(CHUNK * batch_size):
        yield {name: value.abs().sum(dim=0) for name, value in gradients_of(parameters, batch.x).items()}


def _of_batches(
    net: nn.Module, parameters: dict[str, Tensor], data: TrainingData, norm: Norm, batch_size: int
) -> Iterator[dict[str, Tensor]]:
    """The absolute gradient of the sum over each batch."""

    def size(values: dict[str, Tensor], x: Tensor) -> Tensor:
        return _norm(functional_call(net, values, (x,)).logits, norm)

    for batch in data.batches(batch_size):
        yield {name: value.abs() for name, value in grad(size)(parameters, batch.x).items()}


def _norm(logits: Tensor, norm: Norm) -> Tensor:
    """The sum over images of ‖z‖² or ‖z‖."""
    return logits.square().sum() if norm == "squared" else logits.norm(dim=1).sum()
