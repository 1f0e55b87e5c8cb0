"""Pre-trained networks and their files: small networks in the layouts of the published files, made here."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import timm
import torch
from safetensors.torch import save_file
from timm.models import get_pretrained_cfg
from torch import Tensor

from cil_core.nets.pretrained import architecture, fill, pretrained_backbone
from cil_core.spec.catalog import WEIGHTS, WeightsCard
from cil_core.spec.errors import DataError, DataUnavailable
from cil_core.spec.weights import weights_directory
from cil_core.spec.weights_files import WeightsFile, verified

SMALL = {"img_size": 16, "patch_size": 4, "embed_dim": 24, "depth": 2, "num_heads": 3}
TIMM = {key: card for key, card in WEIGHTS.items() if card.library == "timm"}


def small_card(form: str, **changes: Any) -> WeightsCard:
    """The card of a small vision transformer."""
    fields = {
        "name": "small",
        "architecture": "vit_tiny_patch16_224",
        "arguments": SMALL,
        "file": f"small.{form}",
        "format": form,
        "layout": "jax" if form == "npz" else "timm",
        "drops": ("head/",) if form == "npz" else ("head.",),
        "feature_dim": 24,
    }
    return WeightsCard.model_validate(WEIGHTS["vit_ti16-augreg_in21k"].model_dump() | fields | changes)


@pytest.fixture(scope="module")
def network() -> Any:
    """A small network with a classifier, as published files have."""
    with torch.random.fork_rng():
        torch.manual_seed(3)
        made = timm.create_model("vit_tiny_patch16_224", num_classes=7, **SMALL).eval()
        for parameter in made.parameters():
            torch.nn.init.normal_(parameter, std=0.2)
    return made


def as_npz(network: Any, path: Path, **extra: Any) -> None:
    """Write the layout of google-research/vision_transformer, from its documented names."""
    state, heads = network.state_dict(), SMALL["num_heads"]
    width = SMALL["embed_dim"]
    found = {
        "cls": state["cls_token"],
        "embedding/kernel": state["patch_embed.proj.weight"].permute(2, 3, 1, 0),
        "embedding/bias": state["patch_embed.proj.bias"],
        "Transformer/posembed_input/pos_embedding": state["pos_embed"],
        "Transformer/encoder_norm/scale": state["norm.weight"],
        "Transformer/encoder_norm/bias": state["norm.bias"],
        "head/kernel": state["head.weight"].T,
        "head/bias": state["head.bias"],
    }
    for index in range(SMALL["depth"]):
        theirs, ours = f"Transformer/encoderblock_{index}", f"blocks.{index}"
        qkv, bias = state[f"{ours}.attn.qkv.weight"].chunk(3), state[f"{ours}.attn.qkv.bias"].chunk(3)
        attention = f"{theirs}/MultiHeadDotProductAttention_1"
        for part, weight, offset in zip(("query", "key", "value"), qkv, bias, strict=True):
            found[f"{attention}/{part}/kernel"] = weight.T.reshape(width, heads, width // heads)
            found[f"{attention}/{part}/bias"] = offset.reshape(heads, width // heads)
        out = state[f"{ours}.attn.proj.weight"].T.reshape(heads, width // heads, width)
        found |= {f"{attention}/out/kernel": out, f"{attention}/out/bias": state[f"{ours}.attn.proj.bias"]}
        for theirs_norm, norm in (("LayerNorm_0", "norm1"), ("LayerNorm_2", "norm2")):
            found[f"{theirs}/{theirs_norm}/scale"] = state[f"{ours}.{norm}.weight"]
            found[f"{theirs}/{theirs_norm}/bias"] = state[f"{ours}.{norm}.bias"]
        for number in (0, 1):
            dense = f"{theirs}/MlpBlock_3/Dense_{number}"
            found[f"{dense}/kernel"] = state[f"{ours}.mlp.fc{number + 1}.weight"].T
            found[f"{dense}/bias"] = state[f"{ours}.mlp.fc{number + 1}.bias"]
    np.savez(path, **{name: np.asarray(value) for name, value in (found | extra).items()})


def as_pth(network: Any, path: Path) -> None:
    torch.save({"state_dict": network.state_dict(), "epoch": 3}, path)


def as_safetensors(network: Any, path: Path) -> None:
    save_file({name: value.contiguous() for name, value in network.state_dict().items()}, path)


WRITERS: dict[str, Callable[[Any, Path], None]] = {
    "npz": as_npz,
    "pth": as_pth,
    "safetensors": as_safetensors,
}


def images(size: int = 16) -> Tensor:
    return torch.randn(3, 3, size, size, generator=torch.Generator().manual_seed(2))


@pytest.mark.parametrize("form", WRITERS)
def test_features_are_the_class_token_of_timm_bit_for_bit(form: str, network: Any, tmp_path: Path) -> None:
    card = small_card(form)
    weights_directory(tmp_path).mkdir()
    WRITERS[form](network, weights_directory(tmp_path) / card.file)
    backbone = pretrained_backbone(verified(card, tmp_path))
    with torch.no_grad():
        assert torch.equal(backbone(images()), network.forward_features(images())[:, 0])
    assert (backbone.feature_dim, backbone.training) == (24, False)


def test_timm_reads_the_same_file_of_arrays_alike(network: Any, tmp_path: Path) -> None:
    as_npz(network, tmp_path / "small.npz")
    own, theirs = (timm.create_model("vit_tiny_patch16_224", num_classes=0, **SMALL).eval() for _ in range(2))
    fill(own, small_card("npz"), tmp_path / "small.npz")
    theirs.load_pretrained(str(tmp_path / "small.npz"))
    assert all(torch.equal(value, theirs.state_dict()[name]) for name, value in own.state_dict().items())


def test_building_a_network_leaves_the_global_generator_alone() -> None:
    torch.manual_seed(7)
    before = torch.random.get_rng_state()
    architecture(small_card("pth"))
    assert torch.equal(torch.random.get_rng_state(), before)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda state: state.pop("norm.bias"), "norm.bias"),
        (lambda state: state.update(surplus=torch.zeros(1)), "surplus"),
        (lambda state: state.update({"norm.bias": torch.zeros(5)}), "norm.bias"),
    ],
    ids=["missing", "left over", "of another shape"],
)
def test_a_tensor_that_does_not_fit_is_named(
    change: Callable[[dict[str, Tensor]], Any], says: str, network: Any, tmp_path: Path
) -> None:
    state = dict(network.state_dict())
    change(state)
    torch.save(state, tmp_path / "small.pth")
    card = small_card("pth")
    with pytest.raises(DataError, match=rf"small\.pth does not hold the weights of {card.key}(.|\n)*{says}"):
        fill(architecture(card), card, tmp_path / "small.pth")


def test_only_dropped_tensors_may_be_left_over(network: Any, tmp_path: Path) -> None:
    as_pth(network, tmp_path / "small.pth")
    strict = small_card("pth", drops=())
    with pytest.raises(DataError, match=r"head\.weight"):
        fill(architecture(strict), strict, tmp_path / "small.pth")


def test_an_unknown_array_of_a_file_is_refused(network: Any, tmp_path: Path) -> None:
    as_npz(network, tmp_path / "small.npz", **{"Transformer/surplus": torch.zeros(1)})
    card = small_card("npz")
    with pytest.raises(DataError, match="further arrays: Transformer/surplus"):
        fill(architecture(card), card, tmp_path / "small.npz")


def test_beginnings_of_names_are_replaced(network: Any, tmp_path: Path) -> None:
    inside = {f"module.encoder.{name}": value for name, value in network.state_dict().items()}
    torch.save({"model": inside | {"module.other": torch.zeros(2)}}, tmp_path / "small.pth")
    card = small_card("pth", renames={"module.encoder.": ""})
    filled = architecture(card)
    fill(filled, card, tmp_path / "small.pth")
    assert torch.equal(filled.norm.bias, network.norm.bias)


class Harmful:
    """A pickle that would run code."""

    def __reduce__(self) -> tuple[Any, ...]:
        return (print, ("executed",))


def test_a_pickle_of_anything_but_tensors_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    torch.save({"norm.bias": Harmful()}, tmp_path / "small.pth")
    np.savez(tmp_path / "small.npz", cls=np.array([Harmful()], dtype=object))
    for form in ("pth", "npz"):
        card = small_card(form)
        with pytest.raises(DataError, match="does not hold the weights"):
            fill(architecture(card), card, tmp_path / f"small.{form}")
    assert "executed" not in capsys.readouterr().out


def test_an_architecture_that_timm_does_not_have_is_named() -> None:
    with pytest.raises(DataUnavailable, match="timm cannot build 'vit_nonesuch'"):
        architecture(small_card("pth", architecture="vit_nonesuch"))


@pytest.mark.parametrize("card", TIMM.values(), ids=lambda card: card.key)
def test_a_card_agrees_with_timm(card: WeightsCard) -> None:
    with torch.device("meta"):
        built = timm.create_model(
            card.architecture, num_classes=0, **{"in_chans": card.channels, **card.arguments}
        )
    assert sum(parameter.numel() for parameter in built.parameters()) == card.parameters
    assert built.num_features == card.feature_dim
    stated = get_pretrained_cfg(card.library_name)
    if stated is None:
        assert card.name in ("mocov3", "letters")  # which timm does not know
        return
    assert stated.architecture == card.architecture
    if card.format != "safetensors" and card.package is None:
        assert stated.url == card.url
    if card.pixels and card.pixels.name == "card":
        assert (card.pixels.mean, card.pixels.std) == (stated.mean, stated.std)
        assert card.pixels.kernel == stated.interpolation
        assert card.pixels.resize == int(224 / stated.crop_pct)
    if "img_size" not in card.arguments:
        assert stated.input_size == (3, 224, 224)


def test_the_packaged_network_knows_a_photograph(tmp_path: Path) -> None:
    from sklearn.datasets import load_sample_image

    card = WEIGHTS["efficientnet_lite0-in1k"]
    file = verified(card, tmp_path)
    backbone = pretrained_backbone(file)
    head = torch.load(file.path, weights_only=True)
    palace = torch.from_numpy(load_sample_image("china.jpg").copy()).permute(2, 0, 1)[None] / 127.5 - 1
    small = torch.nn.functional.interpolate(palace, size=(256, 384), mode="bicubic", antialias=True)
    with torch.no_grad():
        features = backbone(small[..., 16:240, 80:304])
    logits = features @ head["_fc.weight"].T + head["_fc.bias"]
    assert features.shape == (1, 1280)
    assert int(logits.argmax()) == 698  # palace


def test_an_existing_file_is_not_trusted_for_its_name(network: Any, tmp_path: Path) -> None:
    as_pth(network, tmp_path / "small.pth")
    file = WeightsFile(WEIGHTS["vit_ti16-augreg_in21k"], tmp_path / "small.pth", "0" * 64)
    with pytest.raises(DataError, match="does not hold the weights of vit_ti16-augreg_in21k"):
        pretrained_backbone(file)


def test_nothing_imports_timm_before_a_network_of_it_is_built() -> None:
    code = (
        "import sys, api.main, api.client.cli, workers.parent.service, cil_core.engine.run;"
        "sys.exit('timm' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
