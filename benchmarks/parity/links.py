"""Which modules of both codes have the same weights, and how far their gradients are apart."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

Link = tuple[Any, Any]
"""A module or parameter of ours and the one of PyCIL that has the same weights."""


def linear(net: Any, theirs: Any) -> list[Link]:
    """A backbone and a linear head."""
    head = getattr(net.head, "linear", net.head)
    return [(net.backbone, theirs.convnet.backbone), *linear_head(head, theirs.fc)]


def corrected(net: Any, theirs: Any) -> list[Link]:
    """As `linear`, with BiC's corrections."""
    pairs = zip(net.head.corrections, theirs.bias_layers, strict=True)
    return [
        *linear(net, theirs),
        *(link for a, b in pairs for link in ((a.alpha, b.alpha), (a.beta, b.beta))),
    ]


def cosine(net: Any, theirs: Any) -> list[Link]:
    """A cosine head."""
    return [
        (net.backbone, theirs.convnet.backbone),
        (net.head.weight, theirs.fc.weight),
        (net.head.scale, theirs.fc.sigma),
    ]


def proxies(net: Any, theirs: Any) -> list[Link]:
    """PODNet's head, whose old and new proxies are apart."""
    head, fc = net.head, theirs.fc
    rows = (
        [(head.old, fc.fc1.weight), (head.new, fc.fc2.weight)]
        if hasattr(fc, "fc1")
        else [(torch.cat([head.old, head.new]), fc.weight)]
    )
    return [(net.backbone, theirs.convnet.backbone), *rows, (head.scale, fc.sigma)]


def expandable(net: Any, theirs: Any) -> list[Link]:
    """Several extractors with a common and an auxiliary head: DER, MEMO and FOSTER."""
    second = getattr(theirs, "fe_fc", None) or theirs.aux_fc
    heads = [*linear_head(net.head, theirs.fc), *linear_head(net.auxiliary, second)]
    if hasattr(theirs, "AdaptiveExtractors"):
        blocks = zip(net.extractors, theirs.AdaptiveExtractors, strict=True)
        return [(net.trunk, theirs.TaskAgnosticExtractor), *blocks, *heads]
    return [*zip(net.extractors, (each.backbone for each in theirs.convnets), strict=True), *heads]


def linear_head(ours: Any, theirs: Any) -> list[Link]:
    """Weight and bias of a linear layer."""
    return [(ours.weight, theirs.weight), (ours.bias, theirs.bias)]


def copy_weights(links: list[Link]) -> None:
    """Give PyCIL's modules our weights, statistics of batch norm included."""
    with torch.no_grad():
        for ours, theirs in links:
            if isinstance(ours, nn.Module):
                theirs.load_state_dict(ours.state_dict())
            else:
                theirs.copy_(ours.reshape(theirs.shape))


def difference(links: list[Link]) -> float:
    """Largest difference between gradients, relative to the largest gradient; only of what trains here."""
    pairs = [
        (a.grad, b.grad.reshape(a.shape))
        for ours, theirs in links
        for a, b in (
            zip(ours.parameters(), theirs.parameters(), strict=True)
            if isinstance(ours, nn.Module)
            else [(ours, theirs)]
        )
        if a.requires_grad and a.grad is not None
    ]
    if not pairs:
        raise RuntimeError("no gradient to compare")
    largest = max(float(b.abs().max()) for _, b in pairs)
    return max(float((a - b).abs().max()) for a, b in pairs) / largest
