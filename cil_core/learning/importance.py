"""`Importance`: the diagonal Fisher information of a network and the quadratic penalty of EWC.

Source: Kirkpatrick et al., PNAS 2017, equation 3.

Decisions:
    * F is the mean over images of each image's squared gradient. Squaring the gradient of a batch instead
      underestimates F by about the batch size; `batch_fisher` does so for comparison with code that computes
      it.
    * The network is in evaluation mode and images are not augmented, so that estimating F changes no
      batch-norm statistics. The batch variant can do as PyCIL: training mode and augmented images.
    * The penalty covers the first rows of a tensor that has grown since; new rows are free.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.func import functional_call, grad, vmap

from cil_core.data.arrays import ArrayDataset
from cil_core.nets.incremental import Net

CHUNK = 32
"""Images whose gradients are in memory at once: CHUNK times the network's parameters."""

Labels = Literal["model", "data"]
"""`model`: drawn from the network's predictions, as defined; `data`: true labels, the empirical Fisher."""


class Importance(nn.Module):
    """F_i ≥ 0 by parameter name; starts empty.

    Each is a buffer, so that the state dict contains it.
    """

    def match_structure(self, state: Mapping[str, Tensor]) -> None:
        """Create a buffer for every importance in `state`."""
        for key, value in state.items():
            self.register_buffer(key, torch.empty_like(value))

    def get(self, name: str) -> Tensor:
        """The importance of the parameter `name`; AttributeError if it has none."""
        return self.get_buffer(_key(name))

    def average(self, fresh: Mapping[str, Tensor], old_share: float) -> None:
        """F ← α F + (1 − α) F_new on the rows that both have; new rows take F_new.

        Args:
            fresh: F_new by parameter name.
            old_share: α in [0, 1]; without an earlier F it has no effect.
        """
        for name, value in fresh.items():
            merged = value.clone()
            if self._knows(name):
                merged[: len(self.get(name))].mul_(1 - old_share).add_(old_share * self.get(name))
            self.register_buffer(_key(name), merged)

    def accumulate(self, fresh: Mapping[str, Tensor]) -> None:
        """F ← F + F_new: every task keeps its full weight."""
        for name, value in fresh.items():
            total = value.clone()
            if self._knows(name):
                total[: len(self.get(name))].add_(self.get(name))
            self.register_buffer(_key(name), total)

    def limit(self, largest: float) -> None:
        """F ← min(F, largest)."""
        for value in self.buffers():
            value.clamp_(max=largest)

    def penalty(self, model: nn.Module, anchor: nn.Module) -> Tensor:
        """The penalty (1/2) Σ F_i (θ_i − θ*_i)², a scalar.

        Args:
            model: θ; its tensors may have more rows than F.
            anchor: θ*.
        """
        fixed = dict(anchor.named_parameters())
        known = [(name, parameter) for name, parameter in model.named_parameters() if self._knows(name)]
        terms = [
            (
                self.get(name)
                * (parameter[: len(self.get(name))] - fixed[name][: len(self.get(name))]).square()
            ).sum()
            for name, parameter in known
        ]
        return torch.stack(terms).sum() / 2

    @torch.no_grad()
    def pull(self, model: nn.Module, anchor: nn.Module) -> dict[str, Tensor]:
        """The gradient of `penalty` with respect to θ, F_i (θ_i − θ*_i), by parameter name; 0 on new rows."""
        fixed = dict(anchor.named_parameters())
        pulls = {}
        for name, parameter in model.named_parameters():
            if self._knows(name):
                rows = len(self.get(name))
                pulls[name] = torch.zeros_like(parameter)
                pulls[name][:rows] = self.get(name) * (parameter[:rows] - fixed[name][:rows])
        return pulls

    def _knows(self, name: str) -> bool:
        return _key(name) in self._buffers


def _key(name: str) -> str:
    return name.replace(".", "/")  # a buffer's name has no dots


def fisher(net: Net, data: ArrayDataset, labels: Labels, generator: torch.Generator) -> dict[str, Tensor]:
    """The diagonal Fisher information: the mean over images of (∂ log p(y|x) / ∂θ)².

    Args:
        net: evaluated over all its classes.
        data: images to average over.
        labels: where y comes from.
        generator: draws y, on the device of `data`.

    Returns:
        By parameter name, a tensor in the parameter's shape.
    """
    parameters = {name: value.detach() for name, value in net.named_parameters()}

    def loss(values: dict[str, Tensor], x: Tensor, y: Tensor) -> Tensor:
        logits: Tensor = functional_call(net, values, (x[None],)).logits
        return F.cross_entropy(logits, y[None])

    each = vmap(grad(loss), in_dims=(None, 0, 0))
    total = {name: torch.zeros_like(value) for name, value in parameters.items()}
    for x, y in _labelled(net, data, CHUNK, labels, generator):
        for name, gradients in each(parameters, x, y).items():
            total[name] += gradients.square().sum(dim=0)
    return {name: value / len(data) for name, value in total.items()}


def batch_fisher(
    net: Net,
    data: ArrayDataset,
    batch_size: int,
    labels: Labels,
    generator: torch.Generator,
    *,
    training: bool = False,
) -> dict[str, Tensor]:
    """The square of each batch's mean gradient, averaged over batches.

    Common code calls it the Fisher; it is smaller by about the batch size.

    Args:
        net: see `fisher`.
        data: see `fisher`; shuffled by `generator`.
        batch_size: images per batch.
        labels: see `fisher`.
        generator: see `fisher`.
        training: augments the images and puts the network into training mode, which changes its batch-norm
            statistics.

    Returns:
        See `fisher`.
    """
    parameters = dict(net.named_parameters())
    total = {name: torch.zeros_like(value) for name, value in parameters.items()}
    batches = 0
    for x, y in _labelled(net, data, batch_size, labels, generator, shuffle=True, training=training):
        gradients = torch.autograd.grad(F.cross_entropy(net(x).logits, y), list(parameters.values()))
        total = {
            name: value + gradient.square()
            for (name, value), gradient in zip(total.items(), gradients, strict=True)
        }
        batches += 1
    return {name: value / batches for name, value in total.items()}


def _labelled(
    net: Net,
    data: ArrayDataset,
    batch_size: int,
    labels: Labels,
    generator: torch.Generator,
    *,
    shuffle: bool = False,
    training: bool = False,
) -> Iterator[tuple[Tensor, Tensor]]:
    """Images with the labels that F is computed for.

    Meanwhile the network is in evaluation mode unless `training`.
    """
    was_training = net.training
    net.train(training)
    for batch in data.batches(batch_size, generator if shuffle else None, augment=training):
        if labels == "data":
            yield batch.x, batch.y
        else:
            with torch.no_grad():
                chances = net(batch.x).logits.softmax(dim=1)
            yield batch.x, torch.multinomial(chances, 1, generator=generator).flatten()
    net.train(was_training)
