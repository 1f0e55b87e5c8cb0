"""Cards of datasets and backbones: what is known of them without PyTorch and without the data.

Loading a dataset is `cil_core.data`, building a backbone `cil_core.nets`; a test checks that cards and code agree.
"""

from __future__ import annotations

from collections.abc import Mapping

from pydantic import Field, model_validator

from cil_core.spec.base import Frozen


class ClassRow(Frozen):
    """A class of a dataset; what is not known of it is None."""

    number: int = Field(description="By which explicit class orders and results name the class.")
    name: str | None
    train: int | None = Field(description="Training images.")
    test: int | None = Field(description="Test images.")


def _is_unknown(value: object) -> bool:
    return value is None


class DatasetCard(Frozen):
    """What a dataset is, and how its images are prepared."""

    name: str
    title: str
    classes: int = Field(ge=2)
    channels: int = Field(ge=1, le=4)
    size: int = Field(ge=4, description="Height and width in pixels, as the network sees them.")
    stored: int | None = Field(
        default=None,
        description="Height and width in pixels as images are kept, where they are kept larger: training crops them at random, testing around the centre.",
    )
    train_images: int
    test_images: int
    mean: tuple[float, ...] = Field(description="Per-channel mean of the pixels as fractions of 255.")
    std: tuple[float, ...]
    augment: tuple[str, ...] = Field(
        description="Training augmentations in order, e.g. crop:4 (random crop after zero padding by 4), flip, brightness:0.247."
    )
    citation: str
    licence: str
    fingerprint: str | None = Field(
        default=None,
        description="SHA-256 of the arrays, where it is part of the definition (folder datasets).",
    )
    class_names: tuple[str, ...] | None = Field(
        default=None,
        exclude_if=_is_unknown,
        description="Names of the classes in the order of their numbers, where they are known.",
    )
    train_per_class: tuple[int, ...] | None = Field(
        default=None,
        exclude_if=_is_unknown,
        description="Training images of each class in the order of their numbers, where they are known.",
    )
    test_per_class: tuple[int, ...] | None = Field(
        default=None, exclude_if=_is_unknown, description="Test images of each class, likewise."
    )
    background: str | None = Field(
        default=None,
        exclude_if=_is_unknown,
        description="Colour on which transparent pixels were placed, if images have any.",
    )
    warnings: tuple[str, ...] | None = Field(
        default=None,
        exclude_if=_is_unknown,
        description="What is suspicious about the images, e.g. copies, or test images among the training images.",
    )

    @property
    def class_rows(self) -> tuple[ClassRow, ...]:
        """Every class: its number, and what is known of its name and images."""
        return tuple(
            ClassRow(
                number=number,
                name=self.class_names[number] if self.class_names else None,
                train=self.train_per_class[number] if self.train_per_class else None,
                test=self.test_per_class[number] if self.test_per_class else None,
            )
            for number in range(self.classes)
        )

    @model_validator(mode="after")
    def _lists_name_every_class(self) -> DatasetCard:
        for name in ("class_names", "train_per_class", "test_per_class"):
            values = getattr(self, name)
            if values is not None and len(values) != self.classes:
                raise ValueError(f"{name} has {len(values)} values for {self.classes} classes")
        return self

    @property
    def image_bytes(self) -> int:
        """Bytes of one image as exemplars are counted: uint8, height × width × channels, as the network sees it."""
        return self.size * self.size * self.channels

    @property
    def shape(self) -> tuple[int, int, int]:
        """Channels, height and width of an image as it is kept."""
        side = self.stored or self.size
        return (self.channels, side, side)


class BackboneCard(Frozen):
    """A feature extractor, without its head."""

    name: str
    title: str
    feature_dim: int
    parameters: int = Field(description="Trainable parameters without a head, for 3 input channels.")
    min_size: int = Field(
        description="Smallest image side in pixels: leaves the last stage 2 × 2 positions, so that even a batch of one image can be normalised."
    )
    max_size: int | None = Field(
        default=None, description="Largest image side in pixels, for networks with learnt positions."
    )
    pretrained: tuple[str, ...] = Field(
        default=(), description="Published weights that a track may start from."
    )
    stages: int = Field(description="Stages whose outputs can be distilled; 0 if it has none.")
    splittable: bool = Field(
        description="Whether it splits into a general trunk and a specialised last stage."
    )
    last_stage_parameters: int = Field(description="Those of `parameters` that belong to the last stage.")
    channel_parameters: int = Field(description="Those of `parameters` that look at one input channel.")
    signed: bool = Field(
        default=False, description="Whether features may be negative: no final ReLU, as cosine heads need."
    )

    def parameters_for(self, channels: int) -> int:
        """Trainable parameters without a head, for images of 1 to 4 channels."""
        return self.parameters + (channels - 3) * self.channel_parameters


_CIFAR = {
    "channels": 3, "size": 32, "train_images": 50_000, "test_images": 10_000, "augment": ("crop:4", "flip", "brightness:0.24705882352941178"),
    "citation": "Krizhevsky, Learning Multiple Layers of Features from Tiny Images, 2009", "licence": "not stated by its authors; free for research",
}  # fmt: skip
_MNIST = {
    "channels": 1,
    "size": 28,
    "classes": 10,
    "train_images": 60_000,
    "test_images": 10_000,
    "augment": ("crop:2",),
}
_IMAGENET = {
    "channels": 3, "size": 224, "stored": 256, "augment": ("resizedcrop:224", "flip"),
    "mean": (0.485, 0.456, 0.406), "std": (0.229, 0.224, 0.225),
    "citation": "Russakovsky et al., ImageNet Large Scale Visual Recognition Challenge, 2015", "licence": "non-commercial research; see image-net.org",
}  # fmt: skip
_PHOTOGRAPHS = {"channels": 3, "size": 64, "augment": ("crop:8", "flip", "brightness:0.24705882352941178")}


def _even(classes: int, train: int, test: int) -> dict[str, tuple[int, ...]]:
    return {"train_per_class": (train,) * classes, "test_per_class": (test,) * classes}


_FIGURES = {"class_names": tuple("0123456789")}
_CLASSES: dict[str, Mapping[str, tuple[str, ...] | tuple[int, ...]]] = {
    "digits": {
        **_FIGURES,
        "train_per_class": (142, 146, 142, 146, 145, 145, 145, 143, 139, 144),
        "test_per_class": (36, 36, 35, 37, 36, 37, 36, 36, 35, 36),
    },
    "mnist": {
        **_FIGURES,
        "train_per_class": (5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949),
        "test_per_class": (980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009),
    },
    "svhn": {
        **_FIGURES,
        "train_per_class": (4948, 13861, 10585, 8497, 7458, 6882, 5727, 5595, 5045, 4659),
        "test_per_class": (1744, 5099, 4149, 2882, 2523, 2384, 1977, 2019, 1660, 1595),
    },
    "eurosat": {
        "train_per_class": (2400, 2400, 2400, 2000, 2000, 1600, 2000, 2400, 2000, 2400),
        "test_per_class": (600, 600, 600, 500, 500, 400, 500, 600, 500, 600),
    },
    "cifar10": {
        "class_names": (
            *("airplane", "automobile", "bird", "cat", "deer"),
            *("dog", "frog", "horse", "ship", "truck"),
        ),
        **_even(10, 5000, 1000),
    },
    "cifar100": _even(100, 500, 100),
    "fashion_mnist": _even(10, 6000, 1000),
    "kmnist": _even(10, 6000, 1000),
    "emnist": _even(47, 2400, 400),
    "food101": _even(101, 750, 250),
    "flowers102": {"train_per_class": (20,) * 102},
    "stl10": _even(10, 500, 800),
    "tiny_imagenet": _even(200, 500, 50),
}
"""Names and images of the classes, where they are known."""

DATASETS: dict[str, DatasetCard] = {
    card.name: card.model_copy(update=_CLASSES.get(card.name, {}))
    for card in (
        DatasetCard(
            name="digits", title="Digits (8×8 scans)", classes=10, channels=1, size=8, train_images=1437, test_images=360,
            mean=(0.3054,), std=(0.3761,), augment=("crop:1",),
            citation="Alpaydin and Kaynak, Optical Recognition of Handwritten Digits, UCI, 1998 (as shipped with scikit-learn)", licence="CC BY 4.0",
        ),
        DatasetCard(name="cifar10", title="CIFAR-10", classes=10, mean=(0.4914, 0.4822, 0.4465), std=(0.2470, 0.2435, 0.2616), **_CIFAR),
        DatasetCard(name="cifar100", title="CIFAR-100", classes=100, mean=(0.5071, 0.4867, 0.4408), std=(0.2675, 0.2565, 0.2761), **_CIFAR),
        DatasetCard(
            name="mnist", title="MNIST", mean=(0.1307,), std=(0.3081,), **_MNIST,
            citation="LeCun, Bottou, Bengio and Haffner, Gradient-Based Learning Applied to Document Recognition, 1998", licence="CC BY-SA 3.0",
        ),
        DatasetCard(
            name="fashion_mnist", title="Fashion-MNIST", mean=(0.2860,), std=(0.3530,), **{**_MNIST, "augment": ("crop:2", "flip")},
            citation="Xiao, Rasul and Vollgraf, Fashion-MNIST, 2017", licence="MIT",
        ),
        DatasetCard(
            name="kmnist", title="Kuzushiji-MNIST", mean=(0.1918,), std=(0.3483,), **_MNIST,
            citation="Clanuwat et al., Deep Learning for Classical Japanese Literature, 2018", licence="CC BY-SA 4.0",
        ),
        DatasetCard(
            name="emnist", title="EMNIST (balanced)", mean=(0.1751,), std=(0.3332,),
            **{**_MNIST, "classes": 47, "train_images": 112_800, "test_images": 18_800},
            citation="Cohen, Afshar, Tapson and van Schaik, EMNIST, 2017", licence="not stated; NIST data in the public domain",
        ),
        DatasetCard(
            name="svhn", title="SVHN (cropped digits)", classes=10, channels=3, size=32, train_images=73_257, test_images=26_032,
            mean=(0.4377, 0.4438, 0.4728), std=(0.1980, 0.2010, 0.1970), augment=("crop:4",),
            citation="Netzer et al., Reading Digits in Natural Images with Unsupervised Feature Learning, 2011", licence="non-commercial use",
        ),
        DatasetCard(
            name="gtsrb", title="GTSRB (traffic signs, at 32×32)", classes=43, channels=3, size=32, train_images=26_640, test_images=12_630,
            mean=(0.3403, 0.3121, 0.3214), std=(0.2724, 0.2608, 0.2669), augment=("crop:4", "brightness:0.24705882352941178"),
            citation="Stallkamp, Schlipsing, Salmen and Igel, Man vs. Computer, 2012", licence="free for research; see its authors' page",
        ),
        DatasetCard(
            name="eurosat", title="EuroSAT (RGB)", classes=10, channels=3, size=64, train_images=21_600, test_images=5_400,
            mean=(0.3444, 0.3803, 0.4078), std=(0.2037, 0.1366, 0.1148), augment=("crop:8", "flip"),
            citation="Helber, Bischke, Dengel and Borth, EuroSAT, 2019", licence="MIT",
        ),
        DatasetCard(
            name="food101", title="Food-101 (at 64×64)", classes=101, train_images=75_750, test_images=25_250,
            mean=(0.5493, 0.4451, 0.3435), std=(0.2731, 0.2759, 0.2799), **_PHOTOGRAPHS,
            citation="Bossard, Guillaumin and Van Gool, Food-101, 2014", licence="fair use of its sources; free for research",
        ),
        DatasetCard(
            name="flowers102", title="Flowers-102 (at 64×64)", classes=102, train_images=2_040, test_images=6_149,
            mean=(0.4330, 0.3819, 0.2964), std=(0.2943, 0.2465, 0.2735), **_PHOTOGRAPHS,
            citation="Nilsback and Zisserman, Automated Flower Classification over a Large Number of Classes, 2008", licence="not stated by its authors",
        ),
        DatasetCard(
            name="stl10", title="STL-10", classes=10, channels=3, size=96, train_images=5_000, test_images=8_000,
            mean=(0.4467, 0.4398, 0.4066), std=(0.2603, 0.2566, 0.2713), augment=("crop:12", "flip"),
            citation="Coates, Lee and Ng, An Analysis of Single-Layer Networks in Unsupervised Feature Learning, 2011", licence="not stated by its authors",
        ),
        DatasetCard(
            name="tiny_imagenet", title="Tiny-ImageNet-200", classes=200, train_images=100_000, test_images=10_000,
            mean=(0.4802, 0.4481, 0.3975), std=(0.2770, 0.2691, 0.2821), **_PHOTOGRAPHS,
            citation="Le and Yang, Tiny ImageNet Visual Recognition Challenge, CS 231N, 2015", licence="as ImageNet: non-commercial research",
        ),
        DatasetCard(name="imagenet100", title="ImageNet-100 (ILSVRC 2012)", classes=100, train_images=129_395, test_images=5_000, **_IMAGENET),
        DatasetCard(name="imagenet1000", title="ImageNet-1000 (ILSVRC 2012)", classes=1_000, train_images=1_281_167, test_images=50_000, **_IMAGENET),
    )
}  # fmt: skip
"""The built-in datasets; an operator's folders join them as `folder:<name>`."""


def _backbone(
    name: str, title: str, plain: tuple[int, int], cosine: tuple[int, int], **fields: int
) -> tuple[BackboneCard, BackboneCard]:
    """A backbone and its variant for cosine heads, whose features have both signs; of each the parameters, in all and of the last stage."""
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


_SMALL = {"feature_dim": 64, "min_size": 8, "stages": 3}
_CIFAR_RESNET = {**_SMALL, "channel_parameters": 144}
_LARGE = {"feature_dim": 512, "stages": 4}

BACKBONES: dict[str, BackboneCard] = {
    card.name: card
    for card in (
        *_backbone("convnet", "ConvNet (3 blocks, 32-64-64)", (56_480, 36_992), (56_480, 36_992), channel_parameters=288, **_SMALL),
        *_backbone("resnet14", "ResNet-14 (CIFAR)", (171_856, 129_536), (174_608, 131_712), **_CIFAR_RESNET),
        *_backbone("resnet20", "ResNet-20 (CIFAR)", (269_072, 203_520), (271_824, 205_696), **_CIFAR_RESNET),
        *_backbone("resnet26", "ResNet-26 (CIFAR)", (366_288, 277_504), (369_040, 279_680), **_CIFAR_RESNET),
        *_backbone("resnet32", "ResNet-32 (CIFAR)", (463_504, 351_488), (466_256, 353_664), **_CIFAR_RESNET),
        *_backbone("resnet18", "ResNet-18 (CIFAR stem)", (11_168_832, 8_393_728), (11_168_832, 8_393_728), min_size=16, channel_parameters=576, **_LARGE),
        *_backbone(
            "resnet18_imagenet", "ResNet-18 (ImageNet stem)", (11_176_512, 8_393_728), (11_176_512, 8_393_728), min_size=64, channel_parameters=3_136, **_LARGE
        ),
        BackboneCard(
            name="vit_b16", title="ViT-B/16", feature_dim=768, parameters=85_798_656, last_stage_parameters=7_089_408, channel_parameters=196_608, min_size=224,
            max_size=224, stages=0, splittable=False, signed=True, pretrained=("imagenet1k",),
        ),
    )
}  # fmt: skip
"""Every backbone; a test checks each card against the network it describes."""
