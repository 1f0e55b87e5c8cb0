"""Photograph collections in the splits that the literature on pre-trained networks uses.

None is downloaded. An operator puts the published directories, or a link to them, at
`<data root>/<name>/train/<class>/` and `<data root>/<name>/test/<class>/`.

Decisions:
    * A card states the numbers of classes and images, and where they are stated. A directory with other
      numbers is another split, and is refused under this name.
    * No SHA-256 of these splits is published. A machine records the fingerprint of its first directory, and
      every run records what it used.
    * ObjectNet is left out: its licence does not allow training.
"""

from __future__ import annotations

from cil_core.spec.cards import DatasetCard

_SPLITS_SOURCE = (
    "Zhou, Cai, Ye, Zhan and Liu, Revisiting Class-Incremental Learning with Pre-Trained Models, IJCV 2024, "
    "table of datasets; not verified against the files"
)
_PHOTOGRAPHS = {
    "channels": 3,
    "size": 224,
    "stored": 256,
    "whole": True,
    "kernel": "bicubic",
    "augment": ("resizedcrop:224", "flip"),
    "mean": (0.485, 0.456, 0.406),
    "std": (0.229, 0.224, 0.225),
}

SPLIT_CARDS = (
    DatasetCard(
        name="cub200",
        title="CUB-200-2011",
        classes=200,
        train_images=9_430,
        test_images=2_358,
        split_source=_SPLITS_SOURCE,
        citation="Wah, Branson, Welinder, Perona and Belongie, The Caltech-UCSD Birds-200-2011 Dataset, 2011",
        licence="not stated here; see its authors' page",
        **_PHOTOGRAPHS,
    ),
    DatasetCard(
        name="imagenet_r",
        title="ImageNet-R",
        classes=200,
        train_images=24_000,
        test_images=6_000,
        split_source=_SPLITS_SOURCE,
        citation="Hendrycks et al., The Many Faces of Robustness, ICCV 2021",
        licence="not stated here; see its authors' page",
        **_PHOTOGRAPHS,
    ),
    DatasetCard(
        name="imagenet_a",
        title="ImageNet-A",
        classes=200,
        train_images=5_981,
        test_images=1_519,
        split_source=_SPLITS_SOURCE,
        citation="Hendrycks, Zhao, Basart, Steinhardt and Song, Natural Adversarial Examples, CVPR 2021",
        licence="not stated here; see its authors' page",
        **_PHOTOGRAPHS,
    ),
    DatasetCard(
        name="omnibenchmark",
        title="OmniBenchmark (300 classes)",
        classes=300,
        train_images=89_697,
        test_images=5_985,
        split_source=_SPLITS_SOURCE,
        citation="Zhang, Yin, Shao and Liu, Benchmarking Omni-Vision Representation, ECCV 2022",
        licence="not stated here; see its authors' page",
        **_PHOTOGRAPHS,
    ),
    DatasetCard(
        name="vtab",
        title="VTAB (50 classes of five collections)",
        classes=50,
        train_images=1_796,
        test_images=8_619,
        fixed_order=True,
        split_source=_SPLITS_SOURCE,
        citation="Zhai et al., A Large-scale Study of Representation Learning with VTAB, 2019",
        licence="differs by collection; see their authors' pages",
        **_PHOTOGRAPHS,
    ),
    DatasetCard(
        name="cars196",
        title="Stanford Cars",
        classes=196,
        train_images=8_144,
        test_images=8_041,
        split_source="the split of its authors, Krause et al. 2013; not verified against the files",
        citation="Krause, Stark, Deng and Fei-Fei, 3D Object Representations, ICCV Workshops, 2013",
        licence="not stated here; see its authors' page",
        **_PHOTOGRAPHS,
    ),
)


def matches(card: DatasetCard, published: tuple[DatasetCard, ...] = SPLIT_CARDS) -> tuple[str, ...]:
    """Which published splits a registered directory may be, one sentence per split.

    Args:
        card: of the directory.
        published: the splits that are known.
    """
    found = []
    for split in published:
        if card.classes != split.classes:
            continue
        counts = f"{split.classes} classes, {split.train_images} training and {split.test_images} test images"
        if (card.train_images, card.test_images) == (split.train_images, split.test_images):
            found.append(
                f"matches the counts of {split.title} ({split.name}: {counts}), fingerprint not verified"
            )
        elif card.train_images + card.test_images == split.train_images + split.test_images:
            found.append(
                f"has the classes and images of {split.title} in another split; published is {counts}"
            )
    return tuple(found)
