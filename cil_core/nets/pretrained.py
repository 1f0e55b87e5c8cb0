"""Pre-trained networks as backbones: the library builds the architecture, and a file fills it strictly.

Decisions:
    * timm is optional, imported only when a network of it is built, and never downloads: it gets neither an
      address nor a name without its training run.
    * Files are data: pickles load tensors only, and arrays without pickles. The result is strict: a name that
      is missing or left over is an error, unless the card lists its beginning.
    * The feature of a transformer is the class token after the last norm, that of a convolutional network the
      mean over positions.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from cil_core.nets.backbones import Backbone
from cil_core.spec.errors import DataError, DataUnavailable
from cil_core.spec.weights import WeightsCard
from cil_core.spec.weights_files import WeightsFile

_WRAPPERS = ("state_dict", "model")


class Network(nn.Module):
    """A network of the library, up to its last norm or convolution."""

    def __init__(self, network: Any) -> None:
        super().__init__()
        self.network = network

    def forward(self, x: Tensor) -> Tensor:
        """Tokens (B, N, d) or maps (B, d, H, W)."""
        features: Tensor = self.network.forward_features(x)
        return features


class Positions(nn.Module):
    """The class token as a map of one position; maps as they are."""

    def forward(self, features: Tensor) -> Tensor:
        """(B, N, d) → (B, d, 1, 1), or (B, d, H, W) unchanged."""
        return features if features.ndim == 4 else features[:, 0, :, None, None]


class PretrainedBackbone(Backbone):
    """A network of a library with its published weights.

    Args:
        network: without a classifier.
    """

    def __init__(self, network: Any) -> None:
        super().__init__(Network(network), [Positions()], network.num_features)

    @property
    def network(self) -> Any:
        """The library's own module, for methods that walk through it."""
        return self.trunk[0].network


def pretrained_backbone(weights: WeightsFile) -> PretrainedBackbone:
    """The backbone of a card with its weights, in evaluation mode on the CPU.

    Raises:
        DataUnavailable: the library is not installed, or does not know the architecture.
        DataError: the file does not hold the weights of this network.
    """
    network = architecture(weights.card)
    fill(network, weights.card, weights.path)
    return PretrainedBackbone(network).eval()


def fill_own(backbone: Backbone, weights: WeightsFile) -> None:
    """Put torchvision's weights into our own vision transformer.

    Raises:
        DataError: the file does not hold the weights of this backbone.
    """
    from cil_core.nets import vit  # noqa: PLC0415 - it brings all of torchvision with it

    try:
        backbone.load_state_dict(vit.renamed(_read(weights.card, weights.path)))
    except Exception as error:  # the loader raises many kinds for a file of another format
        raise DataError(f"{weights.path} does not hold the weights of this backbone: {error}") from error


def architecture(card: WeightsCard) -> Any:
    """The library's network of a card, with random weights that leave the global generator as it was.

    Raises:
        DataUnavailable: the library is not installed, or does not know the architecture.
    """
    try:
        import timm  # noqa: PLC0415 - optional, and takes seconds
    except ImportError as error:
        raise DataUnavailable(
            f"the weights {card.key} need timm; install the extra `pretrained` of cil-leaderboard"
        ) from error
    arguments: dict[str, Any] = {"num_classes": 0, "in_chans": card.channels, **card.arguments}
    with torch.random.fork_rng(devices=[]):
        try:
            return timm.create_model(card.architecture, pretrained=False, **arguments)
        except (RuntimeError, TypeError, ValueError) as error:
            raise DataUnavailable(
                f"timm cannot build {card.architecture!r} of {card.key}: {error}"
            ) from error


def fill(network: Any, card: WeightsCard, path: Path) -> None:
    """Put the weights of a file into a network.

    Raises:
        DataError: names are missing or left over, a shape differs, or the file is no file of weights.
    """
    try:
        found = _kept(card, _read(card, path))
        if card.layout == "jax":
            found = _from_jax(found)
        elif card.layout == "efficientnet_pytorch":
            found = _renumbered(found, list(network.state_dict()))
        else:
            found = _filtered(found, network)
        found = {name: value for name, value in found.items() if not name.startswith(card.drops)}
        network.load_state_dict(found, strict=True)
    except DataError:
        raise
    except Exception as error:  # loaders raise many kinds for files of another format
        raise DataError(f"{path} does not hold the weights of {card.key}: {error}") from error


def _read(card: WeightsCard, path: Path) -> dict[str, Tensor]:
    """Every tensor of a file by the file's own names."""
    if card.format == "npz":
        with np.load(path, allow_pickle=False) as arrays:
            return {name: torch.from_numpy(arrays[name]) for name in arrays.files}
    if card.format == "safetensors":
        from safetensors.torch import load_file  # noqa: PLC0415 - part of the extra

        return load_file(path)
    found = torch.load(path, map_location="cpu", weights_only=True)
    for wrapper in _WRAPPERS:
        if isinstance(found.get(wrapper), dict):
            found = found[wrapper]
    return {name: value for name, value in found.items() if isinstance(value, Tensor)}


def _kept(card: WeightsCard, found: dict[str, Tensor]) -> dict[str, Tensor]:
    """The tensors without those that the card drops, with the beginnings that it replaces."""
    if card.renames:
        found = {
            new + name.removeprefix(old): value
            for name, value in found.items()
            for old, new in card.renames.items()
            if name.startswith(old)
        }
    return {name: value for name, value in found.items() if not name.startswith(card.drops)}


def _filtered(found: dict[str, Tensor], network: Any) -> dict[str, Tensor]:
    """The library's own conversion of other layouts of an architecture, where it has one."""
    convert = getattr(sys.modules[type(network).__module__], "checkpoint_filter_fn", None)
    converted: dict[str, Tensor] = convert(found, network) if convert else found
    return converted


def _renumbered(found: dict[str, Tensor], names: list[str]) -> dict[str, Tensor]:
    """Tensors under the network's names: both list the same layers in the order of data flow."""
    if len(found) != len(names):
        raise ValueError(f"the file has {len(found)} tensors for {len(names)} of the network")
    return dict(zip(names, found.values(), strict=True))


def _from_jax(found: dict[str, Tensor]) -> dict[str, Tensor]:
    """Google's layout of a vision transformer under the names of timm."""
    block = "Transformer/encoderblock_"
    state = {
        "cls_token": found.pop("cls"),
        "pos_embed": found.pop("Transformer/posembed_input/pos_embedding"),
        "patch_embed.proj.weight": found.pop("embedding/kernel").permute(3, 2, 0, 1),
        "patch_embed.proj.bias": found.pop("embedding/bias"),
        "norm.weight": found.pop("Transformer/encoder_norm/scale"),
        "norm.bias": found.pop("Transformer/encoder_norm/bias"),
    }
    blocks = {name.removeprefix(block).partition("/")[0] for name in found if name.startswith(block)}
    for index in sorted(blocks, key=int):
        state |= _jax_block(found, f"{block}{index}/", f"blocks.{index}.")
    if found:
        raise ValueError(f"the file has further arrays: {', '.join(sorted(found)[:5])}")
    return state


def _jax_block(found: dict[str, Tensor], theirs: str, ours: str) -> dict[str, Tensor]:
    """One block; its arrays are taken out of `found`."""
    state = {}
    for norm, name in (("LayerNorm_0", "norm1"), ("LayerNorm_2", "norm2")):
        state[f"{ours}{name}.weight"] = found.pop(f"{theirs}{norm}/scale")
        state[f"{ours}{name}.bias"] = found.pop(f"{theirs}{norm}/bias")
    attention = f"{theirs}MultiHeadDotProductAttention_1/"
    parts = [
        (found.pop(f"{attention}{part}/kernel").flatten(1).T, found.pop(f"{attention}{part}/bias").flatten())
        for part in ("query", "key", "value")
    ]
    state[f"{ours}attn.qkv.weight"] = torch.cat([weight for weight, _ in parts])
    state[f"{ours}attn.qkv.bias"] = torch.cat([bias for _, bias in parts])
    state[f"{ours}attn.proj.weight"] = found.pop(f"{attention}out/kernel").flatten(0, 1).T
    state[f"{ours}attn.proj.bias"] = found.pop(f"{attention}out/bias")
    for number in (0, 1):
        dense = f"{theirs}MlpBlock_3/Dense_{number}/"
        state[f"{ours}mlp.fc{number + 1}.weight"] = found.pop(f"{dense}kernel").T
        state[f"{ours}mlp.fc{number + 1}.bias"] = found.pop(f"{dense}bias")
    return state
