"""The built-in datasets; beside them, the built-in backbones and weights of two other modules.

`cil_core.data` loads datasets and `cil_core.nets` builds backbones; a test checks that cards and code agree.
"""

from __future__ import annotations

from cil_core.spec.backbone_cards import BACKBONES
from cil_core.spec.cards import BackboneCard, ClassRow, DatasetCard
from cil_core.spec.dataset_classes import CLASSES
from cil_core.spec.split_cards import SPLIT_CARDS
from cil_core.spec.weights import WeightsCard
from cil_core.spec.weights_cards import WEIGHTS

__all__ = ["BACKBONES", "DATASETS", "WEIGHTS", "BackboneCard", "ClassRow", "DatasetCard", "WeightsCard"]

_CIFAR = {
    "channels": 3,
    "size": 32,
    "train_images": 50_000,
    "test_images": 10_000,
    "augment": ("crop:4", "flip", "brightness:0.24705882352941178"),
    "citation": "Krizhevsky, Learning Multiple Layers of Features from Tiny Images, 2009",
    "licence": "not stated by its authors; free for research",
}
_MNIST = {
    "channels": 1,
    "size": 28,
    "classes": 10,
    "train_images": 60_000,
    "test_images": 10_000,
    "augment": ("crop:2",),
}
_IMAGENET = {
    "channels": 3,
    "size": 224,
    "stored": 256,
    "whole": True,
    "augment": ("resizedcrop:224", "flip"),
    "mean": (0.485, 0.456, 0.406),
    "std": (0.229, 0.224, 0.225),
    "citation": "Russakovsky et al., ImageNet Large Scale Visual Recognition Challenge, 2015",
    "licence": "non-commercial research; see image-net.org",
}
_PHOTOGRAPHS = {"channels": 3, "size": 64, "augment": ("crop:8", "flip", "brightness:0.24705882352941178")}

DATASETS: dict[str, DatasetCard] = {
    card.name: card.model_copy(update=CLASSES.get(card.name, {}))
    for card in (
        DatasetCard(
            name="digits",
            title="Digits (8×8 scans)",
            classes=10,
            channels=1,
            size=8,
            train_images=1437,
            test_images=360,
            mean=(0.3054,),
            std=(0.3761,),
            augment=("crop:1",),
            citation=(
                "Alpaydin and Kaynak, Optical Recognition of Handwritten Digits, UCI, 1998 "
                "(as shipped with scikit-learn)"
            ),
            licence="CC BY 4.0",
        ),
        DatasetCard(
            name="cifar10",
            title="CIFAR-10",
            classes=10,
            mean=(0.4914, 0.4822, 0.4465),
            std=(0.2470, 0.2435, 0.2616),
            **_CIFAR,
        ),
        DatasetCard(
            name="cifar100",
            title="CIFAR-100",
            classes=100,
            mean=(0.5071, 0.4867, 0.4408),
            std=(0.2675, 0.2565, 0.2761),
            **_CIFAR,
        ),
        DatasetCard(
            name="cifar224",
            title="CIFAR-100 (for networks that see 224×224)",
            classes=100,
            mean=(0.5071, 0.4867, 0.4408),
            std=(0.2675, 0.2565, 0.2761),
            **{**_CIFAR, "size": 224, "stored": 32},
        ),
        DatasetCard(
            name="mnist",
            title="MNIST",
            mean=(0.1307,),
            std=(0.3081,),
            **_MNIST,
            citation=(
                "LeCun, Bottou, Bengio and Haffner, "
                "Gradient-Based Learning Applied to Document Recognition, 1998"
            ),
            licence="CC BY-SA 3.0",
        ),
        DatasetCard(
            name="fashion_mnist",
            title="Fashion-MNIST",
            mean=(0.2860,),
            std=(0.3530,),
            **{**_MNIST, "augment": ("crop:2", "flip")},
            citation="Xiao, Rasul and Vollgraf, Fashion-MNIST, 2017",
            licence="MIT",
        ),
        DatasetCard(
            name="kmnist",
            title="Kuzushiji-MNIST",
            mean=(0.1918,),
            std=(0.3483,),
            **_MNIST,
            citation="Clanuwat et al., Deep Learning for Classical Japanese Literature, 2018",
            licence="CC BY-SA 4.0",
        ),
        DatasetCard(
            name="emnist",
            title="EMNIST (balanced)",
            mean=(0.1751,),
            std=(0.3332,),
            **{**_MNIST, "classes": 47, "train_images": 112_800, "test_images": 18_800},
            citation="Cohen, Afshar, Tapson and van Schaik, EMNIST, 2017",
            licence="not stated; NIST data in the public domain",
        ),
        DatasetCard(
            name="svhn",
            title="SVHN (cropped digits)",
            classes=10,
            channels=3,
            size=32,
            train_images=73_257,
            test_images=26_032,
            mean=(0.4377, 0.4438, 0.4728),
            std=(0.1980, 0.2010, 0.1970),
            augment=("crop:4",),
            citation=(
                "Netzer et al., Reading Digits in Natural Images with Unsupervised Feature Learning, 2011"
            ),
            licence="non-commercial use",
        ),
        DatasetCard(
            name="gtsrb",
            title="GTSRB (traffic signs, at 32×32)",
            classes=43,
            channels=3,
            size=32,
            train_images=26_640,
            test_images=12_630,
            mean=(0.3403, 0.3121, 0.3214),
            std=(0.2724, 0.2608, 0.2669),
            augment=("crop:4", "brightness:0.24705882352941178"),
            citation="Stallkamp, Schlipsing, Salmen and Igel, Man vs. Computer, 2012",
            licence="free for research; see its authors' page",
        ),
        DatasetCard(
            name="eurosat",
            title="EuroSAT (RGB)",
            classes=10,
            channels=3,
            size=64,
            train_images=21_600,
            test_images=5_400,
            mean=(0.3444, 0.3803, 0.4078),
            std=(0.2037, 0.1366, 0.1148),
            augment=("crop:8", "flip"),
            citation="Helber, Bischke, Dengel and Borth, EuroSAT, 2019",
            licence="MIT",
        ),
        DatasetCard(
            name="food101",
            title="Food-101 (at 64×64)",
            classes=101,
            train_images=75_750,
            test_images=25_250,
            mean=(0.5493, 0.4451, 0.3435),
            std=(0.2731, 0.2759, 0.2799),
            **_PHOTOGRAPHS,
            citation="Bossard, Guillaumin and Van Gool, Food-101, 2014",
            licence="fair use of its sources; free for research",
        ),
        DatasetCard(
            name="flowers102",
            title="Flowers-102 (at 64×64)",
            classes=102,
            train_images=2_040,
            test_images=6_149,
            mean=(0.4330, 0.3819, 0.2964),
            std=(0.2943, 0.2465, 0.2735),
            **_PHOTOGRAPHS,
            citation=(
                "Nilsback and Zisserman, Automated Flower Classification over a Large Number of Classes, 2008"
            ),
            licence="not stated by its authors",
        ),
        DatasetCard(
            name="stl10",
            title="STL-10",
            classes=10,
            channels=3,
            size=96,
            train_images=5_000,
            test_images=8_000,
            mean=(0.4467, 0.4398, 0.4066),
            std=(0.2603, 0.2566, 0.2713),
            augment=("crop:12", "flip"),
            citation=(
                "Coates, Lee and Ng, "
                "An Analysis of Single-Layer Networks in Unsupervised Feature Learning, 2011"
            ),
            licence="not stated by its authors",
        ),
        DatasetCard(
            name="tiny_imagenet",
            title="Tiny-ImageNet-200",
            classes=200,
            train_images=100_000,
            test_images=10_000,
            mean=(0.4802, 0.4481, 0.3975),
            std=(0.2770, 0.2691, 0.2821),
            **_PHOTOGRAPHS,
            citation="Le and Yang, Tiny ImageNet Visual Recognition Challenge, CS 231N, 2015",
            licence="as ImageNet: non-commercial research",
        ),
        DatasetCard(
            name="imagenet100",
            title="ImageNet-100 (ILSVRC 2012)",
            classes=100,
            train_images=129_395,
            test_images=5_000,
            **_IMAGENET,
        ),
        DatasetCard(
            name="imagenet1000",
            title="ImageNet-1000 (ILSVRC 2012)",
            classes=1_000,
            train_images=1_281_167,
            test_images=50_000,
            **_IMAGENET,
        ),
        *SPLIT_CARDS,
    )
}
"""The built-in datasets; an operator's folders join them as `folder:<name>`."""
