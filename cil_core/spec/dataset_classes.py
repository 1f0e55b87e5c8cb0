"""Names and images of the classes of built-in datasets."""

from __future__ import annotations

from collections.abc import Mapping


def _even(classes: int, train: int, test: int) -> dict[str, tuple[int, ...]]:
    return {"train_per_class": (train,) * classes, "test_per_class": (test,) * classes}


_NUMERALS = {"class_names": tuple("0123456789")}
CLASSES: dict[str, Mapping[str, tuple[str, ...] | tuple[int, ...]]] = {
    "digits": {
        **_NUMERALS,
        "train_per_class": (142, 146, 142, 146, 145, 145, 145, 143, 139, 144),
        "test_per_class": (36, 36, 35, 37, 36, 37, 36, 36, 35, 36),
    },
    "mnist": {
        **_NUMERALS,
        "train_per_class": (5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949),
        "test_per_class": (980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009),
    },
    "svhn": {
        **_NUMERALS,
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
    "cifar224": _even(100, 500, 100),
    "fashion_mnist": _even(10, 6000, 1000),
    "kmnist": _even(10, 6000, 1000),
    "emnist": _even(47, 2400, 400),
    "food101": _even(101, 750, 250),
    "flowers102": {"train_per_class": (20,) * 102},
    "stl10": _even(10, 500, 800),
    "tiny_imagenet": _even(200, 500, 50),
}
"""Names and images of the classes, where they are known."""
