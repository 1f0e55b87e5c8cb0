"""Backbones: parameter counts, shapes, initialisation, and the places where methods reach into them."""

import copy

import pytest
import torch
from torch import Tensor, nn
from torchvision.models import resnet18

from cil_core.nets.backbones import Backbone, build_backbone, channel_gates
from cil_core.spec.catalog import BACKBONES, BackboneCard

CONVOLUTIONAL = {name: card for name, card in BACKBONES.items() if card.stages}
EVERY = pytest.mark.parametrize("card", CONVOLUTIONAL.values(), ids=CONVOLUTIONAL)


def build(name: str, channels: int = 3, seed: int = 0) -> Backbone:
    return build_backbone(name, channels, torch.Generator().manual_seed(seed))


def images(size: int, count: int = 4, channels: int = 3) -> Tensor:
    return torch.randn(count, channels, size, size, generator=torch.Generator().manual_seed(1))


def parameters(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


@EVERY
def test_the_card_agrees_with_the_network(card: BackboneCard) -> None:
    backbone = build(card.name)
    features = backbone(images(card.min_size))
    assert parameters(backbone) == card.parameters
    assert features.shape == (4, card.feature_dim)
    assert backbone.feature_dim == card.feature_dim
    assert len(backbone.maps(images(card.min_size))) == card.stages
    assert bool((features < 0).any()) == card.signed


def test_resnet_32_has_the_published_number_of_parameters() -> None:
    assert parameters(build("resnet32")) == 463_504
    assert parameters(build("resnet18_imagenet")) == 11_176_512
    assert parameters(build("cosine_resnet32")) == 466_256


def test_resnet_32_splits_into_the_published_parts() -> None:
    backbone = build("resnet32")
    assert (parameters(backbone.trunk), parameters(backbone.specialised)) == (112_016, 351_488)


def test_resnet_32_keeps_2303_numbers_of_batch_statistics() -> None:
    assert sum(buffer.numel() for buffer in build("resnet32").buffers()) == 2303


@EVERY
def test_one_image_of_the_smallest_size_can_be_trained_on(card: BackboneCard) -> None:
    features = build(card.name).train()(images(card.min_size, count=1))
    assert bool(features.isfinite().all())


@EVERY
def test_equal_generators_give_equal_weights_and_the_global_one_is_left_alone(card: BackboneCard) -> None:
    before = torch.get_rng_state()
    first, same, other = (build(card.name, 1, seed).state_dict() for seed in (0, 0, 1))
    assert torch.equal(before, torch.get_rng_state())
    assert all(torch.equal(first[name], same[name]) for name in first)
    weights = [name for name in first if first[name].ndim == 4]
    assert weights
    assert not any(torch.equal(first[name], other[name]) for name in weights)


@EVERY
def test_every_weight_is_initialised(card: BackboneCard) -> None:
    backbone = build(card.name)
    for module in backbone.modules():
        if isinstance(module, nn.Conv2d):
            outgoing = module.out_channels * module.kernel_size[0] ** 2
            assert float(module.weight.detach().std()) == pytest.approx((2 / outgoing) ** 0.5, rel=0.2)
            assert module.bias is None
        elif isinstance(module, nn.BatchNorm2d):
            values = [
                module.weight,
                module.bias,
                module.running_mean,
                module.running_var,
                module.num_batches_tracked,
            ]
            assert [value.unique().tolist() for value in values if value is not None] == [
                [1],
                [0],
                [0],
                [1],
                [0],
            ]
    assert all(tensor.device.type == "cpu" for tensor in backbone.state_dict().values())


@EVERY
def test_trunk_and_specialised_part_make_the_whole(card: BackboneCard) -> None:
    backbone, x = build(card.name).eval(), images(card.min_size)
    assert torch.equal(backbone.specialised(backbone.trunk(x)), backbone(x))
    copied = copy.deepcopy(backbone.specialised)
    assert torch.equal(copied(backbone.trunk(x)), backbone(x))
    assert not {id(parameter) for parameter in copied.parameters()} & {
        id(parameter) for parameter in backbone.parameters()
    }


@EVERY
def test_features_are_the_pooled_last_map(card: BackboneCard) -> None:
    backbone, x = build(card.name).eval(), images(card.min_size)
    maps = backbone.maps(x)
    assert torch.equal(backbone.pool(maps[-1]), backbone(x))
    assert all(bool((stage >= 0).all()) for stage in maps[:-1])
    assert bool((maps[-1] >= 0).all()) != card.signed


@pytest.mark.parametrize("size", [8, 16, 28, 32])
def test_the_small_networks_take_all_small_sizes(size: int) -> None:
    for name in ("convnet", "resnet14"):
        assert build(name, channels=1)(images(size, channels=1)).shape == (4, 64)


def test_stages_halve_the_resolution() -> None:
    assert [tuple(stage.shape[1:]) for stage in build("resnet20").maps(images(32))] == [
        (16, 32, 32),
        (32, 16, 16),
        (64, 8, 8),
    ]
    assert [tuple(stage.shape[1:]) for stage in build("convnet").maps(images(32))] == [
        (32, 32, 32),
        (64, 16, 16),
        (64, 8, 8),
    ]


def test_resnet_18_computes_what_torchvisions_computes() -> None:
    ours = build("resnet18_imagenet").eval()
    with torch.random.fork_rng(devices=[]):
        theirs = resnet18(weights=None).eval()
    for tensor in theirs.state_dict().values():
        if tensor.is_floating_point():
            tensor.copy_(
                torch.rand(tensor.shape, generator=torch.Generator().manual_seed(tensor.numel())) * 0.1 + 0.01
            )
    theirs.fc = nn.Identity()
    state = [tensor for name, tensor in theirs.state_dict().items()]
    ours.load_state_dict(dict(zip(ours.state_dict(), state, strict=True)))
    assert torch.allclose(ours(images(64)), theirs(images(64)), rtol=1e-5)


def test_a_shortcut_without_parameters_takes_every_other_pixel_and_adds_empty_channels() -> None:
    block = build("resnet32").trunk[2][0]
    x = images(8, channels=16)
    carried = block.shortcut(x)
    assert torch.equal(carried[:, :16], x[:, :, ::2, ::2])
    assert carried.shape == (4, 32, 4, 4)
    assert not carried[:, 16:].any()


@EVERY
def test_a_gate_masks_the_channels_between_two_convolutions(card: BackboneCard) -> None:
    backbone, x = build(card.name).eval(), images(card.min_size)
    before = backbone(x)
    gates = channel_gates(backbone)
    expected = (
        2
        if "convnet" in card.name
        else sum(len(stage) for stage in (*backbone.trunk[1:], backbone.specialised[0]))
    )
    assert len(gates) == expected
    for gate in gates:
        assert gate.conv.out_channels == gate.norm.num_features == gate.following.in_channels
        mask = torch.zeros(gate.conv.out_channels)
        mask[::2] = 1

        class Mask(nn.Module):
            def forward(self, inner: Tensor, mask: Tensor = mask) -> Tensor:
                return inner * mask[:, None, None]

        gate.owner.gate = Mask()
        masked = backbone(x)
        assert not torch.allclose(masked, before)
        weight = gate.following.weight.detach().clone()
        gate.owner.gate = nn.Identity()
        with torch.no_grad():
            gate.following.weight[:, 1::2] = 0
        assert torch.allclose(
            backbone(x), masked, atol=1e-5
        )  # masking is the same as cutting the convolution that follows
        with torch.no_grad():
            gate.following.weight.copy_(weight)


def test_gates_of_a_part_are_the_gates_within_it() -> None:
    backbone = build("resnet32")
    assert len(channel_gates(backbone.specialised)) == 5
    assert len(channel_gates(backbone.trunk)) == 10


def test_an_unknown_backbone_is_refused_with_the_known_ones() -> None:
    with pytest.raises(ValueError, match=r"unknown backbone 'resnet33'; known: .*resnet32"):
        build("resnet33")


@pytest.mark.parametrize("name", ["convnet", "resnet14"])
def test_in_bfloat16_features_are_nearly_the_same_and_still_float32(name: str) -> None:
    backbone, x = build(name).eval().requires_grad_(False), images(32)
    exact, exact_maps = backbone(x), backbone.maps(x)
    backbone.compute_in(torch.bfloat16)
    features, maps = backbone(x), backbone.maps(x)
    assert features.dtype == torch.float32
    assert {parameter.dtype for parameter in backbone.parameters()} == {torch.float32}
    assert 0 < float((features - exact).norm() / exact.norm()) < 0.03
    for given, expected in zip(maps, exact_maps, strict=True):
        assert given.dtype == torch.float32
        assert float((given - expected).norm() / expected.norm()) < 0.03
    assert copy.deepcopy(backbone).precision is torch.bfloat16
