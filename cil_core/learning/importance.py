"""`Importance`: the diagonal Fisher information of a network's parameters, and the quadratic penalty it weighs (EWC).

Decisions:
    * F is the mean over images of the *squared gradient of each image*: squaring the gradient of a batch instead underestimates it by about
      the batch size. That variant is offered for comparison with code that computes it.
    * Images are seen in evaluation mode without augmentation, so that estimating F moves no batch-norm statistics.
    * Of a tensor that has grown since, its first rows are weighed; new rows are free.
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
"""Images whose gradients are held at once: CHUNK times the network's parameters."""

Labels = Literal["model", "data"]
"""`model`: labels drawn from the network's own predictions, as the Fisher information is defined; `data`: the true labels (empirical Fisher)."""


class Importance(nn.Module):
    """F_i ≥ 0 for every parameter, by the parameter's name; starts empty. Each is a buffer, so that the state dict holds it."""

    def match_structure(self, state: Mapping[str, Tensor]) -> None:
        """Make room for every importance in `state`."""
        for key, value in state.items():
            self.register_buffer(key, torch.empty_like(value))

    def get(self, name: str) -> Tensor:
        """The importance of the parameter `name`."""
        return self.get_buffer(_key(name))

    def average(self, fresh: Mapping[str, Tensor], old_share: float) -> None:
        """F ← α F + (1 − α) F_new on the rows both have; new rows take F_new.

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

    def penalty(self, model: nn.Module, anchor: nn.Module) -> Tensor:
        """(1/2) Σ F_i (θ_i − θ*_i)², a scalar.

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

    def _knows(self, name: str) -> bool:
        return _key(name) in self._buffers


def _key(name: str) -> str:
    return name.replace(".", "/")  # a buffer's name has no dots


def fisher(net: Net, data: ArrayDataset, labels: Labels, generator: torch.Generator) -> dict[str, Tensor]:
    """Diagonal Fisher: mean over images of (∂ log p(y|x) / ∂θ)², by parameter name.

    Args:
        net: evaluated over all its classes.
        data: images to average over.
        labels: where y comes from.
        generator: draws y, on the device of `data`.
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
    net: Net, data: ArrayDataset, batch_size: int, labels: Labels, generator: torch.Generator
) -> dict[str, Tensor]:
    """The square of each batch's mean gradient, averaged over batches: what common code calls the Fisher, smaller by about the batch size.

    Args:
        net: see `fisher`.
        data: see `fisher`; shuffled by `generator`.
        batch_size: images a batch.
        labels: see `fisher`.
        generator: see `fisher`.
    """
    parameters = dict(net.named_parameters())
    total = {name: torch.zeros_like(value) for name, value in parameters.items()}
    batches = 0
    for x, y in _labelled(net, data, batch_size, labels, generator, shuffle=True):
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
) -> Iterator[tuple[Tensor, Tensor]]:
    """Images with the labels F is computed for; the network is in evaluation mode meanwhile."""
    was_training = net.training
    net.eval()
    for batch in data.batches(batch_size, generator if shuffle else None):
        if labels == "data":
            yield batch.x, batch.y
        else:
            with torch.no_grad():
                chances = net(batch.x).logits.softmax(dim=1)
            yield batch.x, torch.multinomial(chances, 1, generator=generator).flatten()
    net.train(was_training)
