"""Sites: neutral ones leave timm's features bit-equal; sizes and effects are those of closed formulae."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from cil_core.nets.sites import (
    Adapters,
    Between,
    DeepTokens,
    LowRank,
    Prefix,
    ScaleShift,
    ShallowTokens,
    Shape,
    Sites,
    walk,
)
from cil_core.nets.sites.adapter import blend

VIT_B = Shape(width=768, heads=12, blocks=12, hidden=3072)


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def parameters(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


@pytest.fixture(scope="module", autouse=True)
def undisturbed_generator() -> Iterator[None]:
    state = torch.random.get_rng_state()
    yield
    torch.random.set_rng_state(state)


@pytest.fixture(scope="module")
def images() -> Tensor:
    return torch.randn(6, 1, 8, 8, generator=generator(3))


def network(**options: Any) -> Any:
    from timm.models.vision_transformer import VisionTransformer

    torch.manual_seed(1)
    sizes = {"img_size": 8, "patch_size": 2, "embed_dim": 32, "depth": 4, "num_heads": 4}
    return VisionTransformer(**sizes, in_chans=1, num_classes=0, **options).eval().requires_grad_(False)


@pytest.fixture(scope="module")
def vit() -> Any:
    return network()


@pytest.mark.parametrize(
    "options",
    [{}, {"init_values": 0.1}, {"qk_norm": True}, {"pre_norm": True}, {"mlp_ratio": 2.0}],
    ids=["plain", "layer scale", "norms of queries and keys", "norm before the blocks", "narrow MLP"],
)
def test_without_sites_features_are_timms_bit_for_bit(images: Tensor, options: dict[str, Any]) -> None:
    network_of_timm = network(**options)
    assert torch.equal(walk(network_of_timm, images), network_of_timm(images))
    assert torch.equal(walk(network_of_timm, images), network_of_timm.forward_features(images)[:, 0])


def neutral_scale_shift(shape: Shape) -> ScaleShift:
    sites = ScaleShift(shape, generator())
    for scale, shift in zip(sites.scale.parameters(), sites.shift.parameters(), strict=True):
        nn.init.ones_(scale)
        nn.init.zeros_(shift)
    return sites


NEUTRAL: dict[str, Callable[[Shape], Sites]] = {
    "fresh adapter": lambda shape: Adapters(shape, 4, generator()),
    "low rank with U = 0": lambda shape: filled(LowRank(shape, 3, ("q", "k", "v", "fc1", "fc2")).down),
    "scale 1, shift 0": neutral_scale_shift,
    "no prefix": lambda shape: Prefix({}, shape.heads),
}


def filled(down: Any) -> Sites:
    owner = LowRank(Shape(32, 4, 4, 128), 3, tuple(down))
    for parameter in owner.down.parameters():
        nn.init.normal_(parameter, generator=generator())
    return owner


@pytest.mark.parametrize("name", NEUTRAL)
def test_a_neutral_site_leaves_features_bit_equal(name: str, vit: Any, images: Tensor) -> None:
    sites = NEUTRAL[name](Shape.of(vit))
    if isinstance(sites, nn.Module):
        sites.eval()
    assert torch.equal(walk(vit, images, sites), vit(images))


def test_sites_leave_the_state_of_the_network_alone(vit: Any, images: Tensor) -> None:
    before = {name: value.clone() for name, value in vit.state_dict().items()}
    walk(vit, images, ScaleShift(Shape.of(vit), generator()))
    after = vit.state_dict()
    assert list(after) == list(before)
    assert all(torch.equal(after[name], before[name]) for name in before)


@pytest.mark.parametrize(
    ("sites", "numbers"),
    [
        (lambda: Adapters(VIT_B, 64, generator()), 1_189_632),
        (lambda: Adapters(VIT_B, 16, generator()), 304_320),
        (lambda: ScaleShift(VIT_B, generator()), 205_824),
        (lambda: ShallowTokens(VIT_B, 5), 3_840),
        (lambda: DeepTokens(VIT_B, 5), 46_080),
        (lambda: DeepTokens(VIT_B, 30), 276_480),
        (lambda: LowRank(VIT_B, 10, ("k", "v")), 368_640),
        (lambda: LowRank(VIT_B, 4, ("qkv", "fc1", "fc2"), scale=0.8), 516_096),
    ],
    ids=["adapter 64", "adapter 16", "SSF", "5 tokens", "5 deep", "30 deep", "LoRA k v", "LoRA qkv fc1 fc2"],
)
def test_the_number_of_parameters_in_vit_b_is_that_of_the_formula(
    sites: Callable[[], nn.Module], numbers: int
) -> None:
    assert parameters(sites()) == numbers


def test_a_prefix_of_zeros_scales_each_head_by_its_share_of_the_attention(vit: Any, images: Tensor) -> None:
    """S / (S + p) with S = Σ exp(q · k · scale), from the weights of the first block."""
    seen: dict[str, list[Tensor]] = {"plain": [], "prefixed": []}

    class Record(Prefix):
        def output(self, layer: str, block: int, given: Tensor, made: Tensor) -> Tensor:
            if (layer, block) == ("proj", 0):
                seen["prefixed" if self.prompts else "plain"].append(given)
            return made

    length = 5
    walk(vit, images, Record({}, 4))
    walk(vit, images, Record({0: torch.zeros(len(images), 2, length, 32)}, 4))
    attention = vit.blocks[0].attn
    tokens = vit.blocks[0].norm1(vit._pos_embed(vit.patch_embed(images)))
    packed = attention.qkv(tokens).reshape(len(images), 17, 3, 4, 8).permute(2, 0, 3, 1, 4)
    share = (packed[0] @ packed[1].transpose(-2, -1) / 8**0.5).exp().sum(dim=-1)  # (B, heads, N)
    factor = (share / (share + length)).transpose(1, 2).repeat_interleave(8, dim=2)
    assert torch.allclose(seen["prefixed"][0], seen["plain"][0] * factor, atol=1e-6)


def test_each_sample_brings_its_own_prefix_key_first_then_value(vit: Any) -> None:
    """Distinct integers: an axis taken for another would put them in other places."""
    prompts = torch.arange(3 * 2 * 2 * 32, dtype=torch.float32).reshape(3, 2, 2, 32)
    keys, values = Prefix({1: prompts}, 4).keys_values(1, torch.zeros(3, 4, 17, 8), torch.ones(3, 4, 17, 8))
    assert keys.shape == values.shape == (3, 4, 19, 8)
    for sample in range(3):
        for position in range(2):
            assert torch.equal(keys[sample, :, position].flatten(), prompts[sample, 0, position])
            assert torch.equal(values[sample, :, position].flatten(), prompts[sample, 1, position])
    assert bool((keys[:, :, 2:] == 0).all())
    assert bool((values[:, :, 2:] == 1).all())


def test_an_adapter_reads_the_stream_after_attention_without_a_norm(vit: Any, images: Tensor) -> None:
    """One block by hand: y = a + MLP(LN a) + 0.1 · (U relu(D a + b) + c)."""
    sites = Adapters(Shape.of(vit), 4, generator()).eval()
    for parameter in sites.parameters():
        nn.init.normal_(parameter, std=0.3, generator=generator(5))
    seen: list[Tensor] = []
    sites.leave_block = lambda block, tokens: seen.append(tokens) or tokens  # type: ignore[method-assign,func-returns-value]
    walk(vit, images, sites)
    block = vit.blocks[0]
    tokens = vit._pos_embed(vit.patch_embed(images))
    attended = tokens + block.attn(block.norm1(tokens))
    hidden = (attended @ sites.down[0].T + sites.down_bias[0]).clamp(min=0)
    expected = attended + block.mlp(block.norm2(attended)) + 0.1 * (hidden @ sites.up[0].T + sites.up_bias[0])
    assert torch.allclose(seen[0], expected, atol=1e-5)


def test_dropout_of_adapters_comes_from_their_generator_alone(vit: Any, images: Tensor) -> None:
    sites = Adapters(Shape.of(vit), 4, generator()).train()
    nn.init.normal_(sites.up, generator=generator(1))
    with pytest.raises(RuntimeError, match="generator"):
        walk(vit, images, sites)
    before = torch.random.get_rng_state()
    found = []
    for seed in (1, 1, 2):
        sites.dropout = generator(seed)
        found.append(walk(vit, images, sites))
    assert torch.equal(found[0], found[1])
    assert not torch.equal(found[0], found[2])
    assert torch.equal(torch.random.get_rng_state(), before)
    assert torch.equal(walk(vit, images, sites.eval()), walk(vit, images, sites))


def test_blending_keeps_nine_tenths_of_the_distance_to_the_mean(vit: Any) -> None:
    moved, *others = (Adapters(Shape.of(vit), 4, generator(seed)) for seed in range(3))
    mean = (others[0].down + others[1].down) / 2
    before = (moved.down - mean).norm()
    blend(moved, others, 0.1)
    assert ((moved.down - mean).norm() / before).item() == pytest.approx(0.9, abs=1e-5)


def test_a_low_rank_update_equals_the_changed_weight(vit: Any, images: Tensor) -> None:
    sites = LowRank(Shape.of(vit), 3, ("q", "v", "fc1", "fc2"), scale=0.8)
    for parameter in sites.parameters():
        nn.init.normal_(parameter, std=0.2, generator=generator(6))
    merged = network()
    with torch.no_grad():
        merged.blocks[1].attn.qkv.weight[:32] += 0.8 * sites.up["q"][1] @ sites.down["q"][1]
    sites.merge_into(changed := network())
    assert torch.allclose(
        changed.blocks[1].attn.qkv.weight[:32], merged.blocks[1].attn.qkv.weight[:32], atol=1e-6
    )
    assert torch.equal(changed.blocks[1].attn.qkv.weight[32:64], vit.blocks[1].attn.qkv.weight[32:64])
    assert torch.allclose(walk(vit, images, sites), changed(images), atol=5e-6)


@pytest.mark.parametrize(("sites", "length"), [(ShallowTokens, 22), (DeepTokens, 22)])
def test_learnt_tokens_lengthen_the_sequence_in_the_blocks_only(
    vit: Any, images: Tensor, sites: Any, length: int
) -> None:
    lengths: list[tuple[str, int]] = []

    class Record(sites):  # type: ignore[misc]
        def output(self, layer: str, block: int, given: Tensor, made: Tensor) -> Tensor:  # noqa: ARG002
            lengths.append((layer, made.shape[1]))
            return made

    features = walk(vit, images, Record(Shape.of(vit), 5))
    assert {found for layer, found in lengths if layer == "norm1"} == {length}
    assert lengths[-1] == ("norm", 17)
    assert not torch.equal(features, vit(images))  # tokens of zeros take a share of the attention


def test_tokens_between_class_token_and_patches_are_read_by_their_mean(vit: Any, images: Tensor) -> None:
    tokens = torch.randn(len(images), 3, 32, generator=generator(4))
    plain = vit._pos_embed(vit.patch_embed(images))
    sequence = torch.cat([plain[:, :1], tokens, plain[:, 1:]], dim=1)
    expected = vit.norm(vit.blocks(sequence))[:, 1:4].mean(dim=1)
    assert torch.allclose(walk(vit, images, Between(tokens)), expected, atol=1e-6)


def test_scale_and_shift_act_after_every_layer(vit: Any, images: Tensor) -> None:
    """The last one alone: features become γ f + β."""
    sites = neutral_scale_shift(Shape.of(vit))
    nn.init.constant_(sites.scale["norm"], 2.0)
    nn.init.constant_(sites.shift["norm"], 0.5)
    assert torch.allclose(walk(vit, images, sites), 2 * vit(images) + 0.5, atol=1e-6)


def test_a_fresh_scale_and_shift_are_drawn_around_one_and_zero() -> None:
    sites = ScaleShift(VIT_B, generator())
    scales = torch.cat([scale.flatten() for scale in sites.scale.parameters()])
    shifts = torch.cat([shift.flatten() for shift in sites.shift.parameters()])
    assert scales.mean().item() == pytest.approx(1, abs=1e-3)
    assert shifts.mean().item() == pytest.approx(0, abs=1e-3)
    assert torch.stack([scales.std(), shifts.std()]).tolist() == pytest.approx([0.02, 0.02], abs=1e-3)


def test_a_network_without_the_layers_is_refused() -> None:
    other = nn.Module()
    other.blocks = nn.ModuleList([nn.Module()])
    other.blocks[0].attn = nn.Linear(2, 2)
    with pytest.raises(ValueError, match="has no sites"):
        Shape.of(other)
