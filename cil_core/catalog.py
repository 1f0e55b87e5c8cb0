"""Cards of datasets and backbones: what is known of them without PyTorch and without the data.

Loading a dataset is `cil_core.data`, building a backbone `cil_core.nets`; a test checks that cards and code agree.
"""

from __future__ import annotations

from pydantic import Field

from cil_core.frozen import Frozen


class DatasetCard(Frozen):
    """What a dataset is, and how its images are prepared."""

    name: str
    title: str
    classes: int = Field(ge=2)
    channels: int = Field(ge=1, le=4)
    size: int = Field(ge=4, description="Height and width in pixels.")
    train_images: int
    test_images: int
    mean: tuple[float, ...] = Field(description="Per-channel mean of the pixels as fractions of 255.")
    std: tuple[float, ...]
    augment: tuple[str, ...] = Field(description="Training augmentations in order, e.g. crop:4 (random crop after zero padding by 4), flip, brightness:0.247.")
    citation: str
    licence: str
    fingerprint: str | None = Field(default=None, description="SHA-256 of the arrays, where it is part of the definition (folder datasets).")

    @property
    def image_bytes(self) -> int:
        """Bytes of one stored image: uint8, height × width × channels."""
        return self.size * self.size * self.channels


class BackboneCard(Frozen):
    """A feature extractor, without its head."""

    name: str
    title: str
    feature_dim: int
    parameters: int = Field(description="Trainable parameters without a head, for 3 input channels.")
    min_size: int = Field(
        description="Smallest image side in pixels: leaves the last stage 2 × 2 positions, so that even a batch of one image can be normalised."
    )
    stages: int = Field(description="Stages whose outputs can be distilled; 0 if it has none.")
    splittable: bool = Field(description="Whether it splits into a general trunk and a specialised last stage.")
    signed: bool = Field(default=False, description="Whether features may be negative: no final ReLU, as cosine heads need.")


_CIFAR = {
    "channels": 3, "size": 32, "train_images": 50_000, "test_images": 10_000, "augment": ("crop:4", "flip", "brightness:0.24705882352941178"),
    "citation": "Krizhevsky, Learning Multiple Layers of Features from Tiny Images, 2009", "licence": "not stated by its authors; free for research",
}  # fmt: skip

DATASETS: dict[str, DatasetCard] = {
    card.name: card
    for card in (
        DatasetCard(
            name="digits", title="Digits (8×8 scans)", classes=10, channels=1, size=8, train_images=1437, test_images=360,
            mean=(0.3054,), std=(0.3761,), augment=("crop:1",),
            citation="Alpaydin and Kaynak, Optical Recognition of Handwritten Digits, UCI, 1998 (as shipped with scikit-learn)", licence="CC BY 4.0",
        ),
        DatasetCard(name="cifar10", title="CIFAR-10", classes=10, mean=(0.4914, 0.4822, 0.4465), std=(0.2470, 0.2435, 0.2616), **_CIFAR),
        DatasetCard(name="cifar100", title="CIFAR-100", classes=100, mean=(0.5071, 0.4867, 0.4408), std=(0.2675, 0.2565, 0.2761), **_CIFAR),
    )
}  # fmt: skip
"""The built-in datasets; an operator's folders join them as `folder:<name>`."""


def _backbone(name: str, title: str, parameters: int, cosine_parameters: int, **fields: int) -> tuple[BackboneCard, BackboneCard]:
    """A backbone and its variant for cosine heads, whose features have both signs."""
    plain = BackboneCard(name=name, title=title, parameters=parameters, splittable=True, **fields)
    changes = {"name": f"cosine_{name}", "title": f"{title} for cosine heads", "parameters": cosine_parameters, "signed": True}
    return plain, plain.model_copy(update=changes)


_SMALL = {"feature_dim": 64, "min_size": 8, "stages": 3}
_LARGE = {"feature_dim": 512, "stages": 4}

BACKBONES: dict[str, BackboneCard] = {
    card.name: card
    for card in (
        *_backbone("convnet", "ConvNet (3 blocks, 32-64-64)", 56_480, 56_480, **_SMALL),
        *_backbone("resnet14", "ResNet-14 (CIFAR)", 171_856, 174_608, **_SMALL),
        *_backbone("resnet20", "ResNet-20 (CIFAR)", 269_072, 271_824, **_SMALL),
        *_backbone("resnet26", "ResNet-26 (CIFAR)", 366_288, 369_040, **_SMALL),
        *_backbone("resnet32", "ResNet-32 (CIFAR)", 463_504, 466_256, **_SMALL),
        *_backbone("resnet18", "ResNet-18 (CIFAR stem)", 11_168_832, 11_168_832, min_size=16, **_LARGE),
        *_backbone("resnet18_imagenet", "ResNet-18 (ImageNet stem)", 11_176_512, 11_176_512, min_size=64, **_LARGE),
    )
}
"""Every backbone; a test checks each card against the network it describes."""
