"""Channel masks: annealing, gradients, sparsity, exact pruning."""

from __future__ import annotations

import copy

import pytest
import torch

from cil_core.nets.backbones import Backbone, build_backbone
from cil_core.nets.masking import LIMIT, ChannelMask, Masks, annealed_slope, reestimate_statistics

BACKBONES = ["convnet", "resnet14", "cosine_resnet14"]


def masked(name: str, spread: float = 2.0, slope_max: float = 10.0) -> tuple[Backbone, Masks]:
    extractor = build_backbone(name, 3, torch.Generator().manual_seed(0))
    return extractor, Masks(extractor, spread, slope_max, torch.Generator().manual_seed(1))


def images(count: int = 4) -> torch.Tensor:
    return torch.randn(count, 3, 16, 16, generator=torch.Generator().manual_seed(2))


def drop_some(masks: Masks) -> None:
    for number, mask in enumerate(masks.masks):
        sign = torch.rand(len(mask.e), generator=torch.Generator().manual_seed(number)) - 0.4
        mask.e.data.copy_(sign)


def saturate(masks: Masks) -> None:
    """Make every mask value exactly 0 or 1, by the channels that stay."""
    for mask in masks.masks:
        mask.e.data = torch.where(mask.kept(), 1.0, -1.0)
        mask.slope = 1000.0


def test_the_slope_rises_linearly_from_its_inverse_maximum_to_its_maximum() -> None:
    assert [annealed_slope(index, 3, 10.0) for index in range(3)] == pytest.approx([0.1, 5.05, 10.0])
    assert annealed_slope(0, 1, 10.0) == 10.0


@pytest.mark.parametrize("slope", [0.1, 1.0, 10.0, 400.0])
def test_the_gradient_does_not_depend_on_the_slope(slope: float) -> None:
    mask = ChannelMask(5, 2.0, torch.Generator().manual_seed(0))
    mask.slope = slope
    weights = torch.tensor([1.0, -2.0, 3.0, 0.5, 0.0])
    (mask.values() * weights).sum().backward()
    sigmoid = torch.sigmoid(mask.e.detach())
    assert mask.e.grad is not None
    torch.testing.assert_close(mask.e.grad, weights * sigmoid * (1 - sigmoid))


def test_at_slope_one_it_is_the_ordinary_gradient_of_the_sigmoid() -> None:
    mask = ChannelMask(3, 2.0, torch.Generator().manual_seed(0))
    mask.values().sum().backward()
    e = mask.e.detach().clone().requires_grad_(True)
    torch.sigmoid(e).sum().backward()
    torch.testing.assert_close(mask.e.grad, e.grad)


def test_a_layer_keeps_at_least_its_best_channel() -> None:
    mask = ChannelMask(3, 1.0, torch.Generator())
    mask.e.data = torch.tensor([-3.0, -1.0, -2.0])
    assert mask.kept().tolist() == [False, True, False]


def test_mask_parameters_are_kept_in_range() -> None:
    _, masks = masked("convnet")
    masks.masks[0].e.data.fill_(99)
    masks.clamp()
    assert masks.masks[0].e.max() == LIMIT


@pytest.mark.parametrize("name", BACKBONES)
def test_sparsity_is_one_for_full_masks_and_the_true_share_of_weights_for_binary_ones(name: str) -> None:
    extractor, masks = masked(name)
    saturate(masks)
    assert float(masks.sparsity().detach()) == 1.0
    drop_some(masks)
    saturate(masks)
    promised = float(masks.sparsity().detach())
    weights = [module.weight.numel() for module in extractor.modules() if isinstance(module, torch.nn.Conv2d)]
    masks.prune()
    left = [module.weight.numel() for module in extractor.modules() if isinstance(module, torch.nn.Conv2d)]
    assert promised == pytest.approx(sum(left) / sum(weights))
    assert 0 < promised < 1


def test_half_open_masks_give_a_quarter_where_both_sides_are_masked() -> None:
    """The convnet 32-64-64 with 3 inputs: layers 1 and 3 are masked on one side, layer 2 on both."""
    _, masks = masked("convnet")
    for mask in masks.masks:
        mask.e.data.zero_()
    layers = [3 * 32, 32 * 64, 64 * 64]
    assert float(masks.sparsity().detach()) == pytest.approx(
        (layers[0] / 2 + layers[1] / 4 + layers[2] / 2) / sum(layers)
    )


@pytest.mark.parametrize("name", BACKBONES)
def test_pruned_features_equal_those_under_binary_masks(name: str) -> None:
    extractor, masks = masked(name)
    reestimate_statistics(extractor, [images(32)])
    drop_some(masks)
    saturate(masks)
    extractor.eval()
    with torch.no_grad():
        before = extractor(images())
        masks.prune()
        after = extractor(images())
    torch.testing.assert_close(after, before, atol=1e-5, rtol=1e-5)


def test_removing_masks_leaves_the_extractor_as_it_was() -> None:
    extractor, masks = masked("convnet")
    untouched = build_backbone("convnet", 3, torch.Generator().manual_seed(0)).state_dict()
    masks.remove()
    assert extractor.state_dict().keys() == untouched.keys()
    assert all(torch.equal(extractor.state_dict()[name], value) for name, value in untouched.items())


def test_reestimated_statistics_are_the_plain_average_over_batches_and_weights_stay() -> None:
    extractor = build_backbone("convnet", 3, torch.Generator().manual_seed(0))
    before = copy.deepcopy(dict(extractor.named_parameters()))
    batches = [images(8), images(8) * 2 + 1]
    reestimate_statistics(extractor, batches)
    first = extractor.trunk[1]
    expected = torch.stack([first.conv(batch).mean(dim=(0, 2, 3)) for batch in batches]).mean(dim=0)
    torch.testing.assert_close(first.norm.running_mean, expected)
    assert first.norm.momentum == 0.1
    assert all(torch.equal(before[name], value) for name, value in extractor.named_parameters())
