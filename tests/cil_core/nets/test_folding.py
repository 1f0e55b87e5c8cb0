"""Folding batch normalisation into convolutions changes how a network computes, not what."""

import copy

import pytest
import torch
from torch import Tensor, nn

from cil_core.nets.backbones import Backbone, build_backbone
from cil_core.nets.folding import folded
from cil_core.spec.catalog import BACKBONES, BackboneCard


def trained(name: str, size: int) -> tuple[Backbone, Tensor]:
    """A backbone whose batch normalisations do something, and images."""
    generator = torch.Generator().manual_seed(0)
    backbone = build_backbone(name, 3, generator)
    for part in backbone.modules():
        if isinstance(part, nn.BatchNorm2d):
            with torch.no_grad():
                part.weight.uniform_(0.5, 1.5, generator=generator)
                part.bias.uniform_(-0.5, 0.5, generator=generator)
    images = torch.randn(8, 3, size, size, generator=generator)
    backbone.train()(images)
    return backbone.eval(), images


@pytest.mark.parametrize(
    "card", [card for card in BACKBONES.values() if card.stages], ids=lambda card: card.name
)
def test_a_folded_backbone_gives_the_same_features_and_maps(card: BackboneCard) -> None:
    backbone, images = trained(card.name, card.min_size)
    quick = folded(backbone)
    assert not any(isinstance(part, nn.BatchNorm2d) for part in quick.modules())
    torch.testing.assert_close(quick(images), backbone(images), rtol=1e-4, atol=1e-5)
    for given, expected in zip(quick.maps(images), backbone.maps(images), strict=True):
        torch.testing.assert_close(given, expected, rtol=1e-4, atol=1e-4)


def test_the_original_is_unchanged_and_the_copy_is_frozen() -> None:
    backbone, images = trained("resnet14", 32)
    backbone.train()
    before = copy.deepcopy(backbone.state_dict())
    quick = folded(backbone)
    quick(images)
    assert backbone.training
    assert all(parameter.requires_grad for parameter in backbone.parameters())
    assert not quick.training
    assert not any(parameter.requires_grad for parameter in quick.parameters())
    assert all(torch.equal(value, before[name]) for name, value in backbone.state_dict().items())
