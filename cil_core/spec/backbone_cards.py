"""The built-in backbones; `cil_core.nets` builds them, and a test checks that cards and networks agree."""

from __future__ import annotations

from collections.abc import Iterator

from cil_core.spec.cards import BackboneCard
from cil_core.spec.weights_cards import WEIGHTS


def _backbone(
    name: str, title: str, plain: tuple[int, int], cosine: tuple[int, int], **fields: int
) -> tuple[BackboneCard, BackboneCard]:
    """A backbone and its variant for cosine heads, whose features have both signs.

    Args:
        name: of the plain backbone.
        title: likewise.
        plain: its parameters, in all and of the last stage.
        cosine: those of the variant.
        fields: the other fields of both cards.
    """
    card = BackboneCard(
        name=name, title=title, parameters=plain[0], last_stage_parameters=plain[1], splittable=True, **fields
    )
    changes = {
        "name": f"cosine_{name}",
        "title": f"{title} for cosine heads",
        "parameters": cosine[0],
        "last_stage_parameters": cosine[1],
        "signed": True,
    }
    return card, card.model_copy(update=changes)


def _names(backbone: str) -> tuple[str, ...]:
    """The shipped weights of a backbone."""
    return tuple(card.name for card in WEIGHTS.values() if card.backbone == backbone)


def _transformers() -> Iterator[BackboneCard]:
    """The vision transformers that come with published weights only."""
    for name, title, size, blocks, width, parameters, patch in (
        ("vit_s16", "ViT-S/16", 224, 12, 384, 21_665_664, 16),
        ("vit_ti16", "ViT-Ti/16", 224, 12, 192, 5_524_416, 16),
        ("vit_b14", "ViT-B/14", 224, 12, 768, 85_724_928, 14),
        ("vit_s14", "ViT-S/14", 224, 12, 384, 21_628_800, 14),
        ("vit_8px", "ViT for 8 pixels", 8, 4, 32, 51_872, 2),
    ):
        yield BackboneCard(
            name=name,
            title=title,
            feature_dim=width,
            parameters=parameters,
            last_stage_parameters=parameters,
            channel_parameters=width * patch**2,
            min_size=size,
            max_size=size,
            stages=0,
            splittable=False,
            signed=True,
            pretrained=_names(name),
            only_pretrained=True,
            sites=blocks,
        )


_SMALL = {"feature_dim": 64, "min_size": 8, "stages": 3}
_CIFAR_RESNET = {**_SMALL, "channel_parameters": 144}
_LARGE = {"feature_dim": 512, "stages": 4}

BACKBONES: dict[str, BackboneCard] = {
    card.name: card
    for card in (
        *_backbone(
            "convnet",
            "ConvNet (3 blocks, 32-64-64)",
            (56_480, 36_992),
            (56_480, 36_992),
            channel_parameters=288,
            **_SMALL,
        ),
        *_backbone("resnet14", "ResNet-14 (CIFAR)", (171_856, 129_536), (174_608, 131_712), **_CIFAR_RESNET),
        *_backbone("resnet20", "ResNet-20 (CIFAR)", (269_072, 203_520), (271_824, 205_696), **_CIFAR_RESNET),
        *_backbone("resnet26", "ResNet-26 (CIFAR)", (366_288, 277_504), (369_040, 279_680), **_CIFAR_RESNET),
        *_backbone("resnet32", "ResNet-32 (CIFAR)", (463_504, 351_488), (466_256, 353_664), **_CIFAR_RESNET),
        *_backbone(
            "resnet18",
            "ResNet-18 (CIFAR stem)",
            (11_168_832, 8_393_728),
            (11_168_832, 8_393_728),
            min_size=16,
            channel_parameters=576,
            **_LARGE,
        ),
        *_backbone(
            "resnet18_imagenet",
            "ResNet-18 (ImageNet stem)",
            (11_176_512, 8_393_728),
            (11_176_512, 8_393_728),
            min_size=64,
            channel_parameters=3_136,
            **_LARGE,
        ),
        BackboneCard(
            name="vit_b16",
            title="ViT-B/16",
            feature_dim=768,
            parameters=85_798_656,
            last_stage_parameters=7_089_408,
            channel_parameters=196_608,
            min_size=224,
            max_size=224,
            stages=0,
            splittable=False,
            signed=True,
            pretrained=_names("vit_b16"),
            sites=12,
        ),
        *_transformers(),
        BackboneCard(
            name="efficientnet_lite0",
            title="EfficientNet-Lite0",
            feature_dim=1280,
            parameters=3_371_008,
            last_stage_parameters=3_371_008,
            channel_parameters=288,
            min_size=32,
            stages=0,
            splittable=False,
            pretrained=_names("efficientnet_lite0"),
            only_pretrained=True,
        ),
    )
}
"""Every backbone; a test checks each card against the network it describes."""
