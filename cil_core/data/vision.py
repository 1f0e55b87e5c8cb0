"""The published datasets: the archives of each one, and how its images become arrays.

Decisions:
    * Addresses, checksums and file formats are torchvision's own; it finds the archives in place and unpacks
      them.
    * Photographs of mixed sizes are scaled to the card's size and cropped around the centre.
    * EuroSAT comes without a split: 80 % of each class train and 20 % test, drawn once with a fixed seed.
      Flowers-102 trains on its training and validation images together. EMNIST is the balanced split, turned
      upright.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import torch
from sklearn.model_selection import train_test_split
from torch import Tensor
from torchvision import datasets

from cil_core.data.images import decode
from cil_core.data.published import Published, Split
from cil_core.spec.catalog import DatasetCard
from cil_core.spec.download import RemoteFile

SPLIT_SEED = 0


def cifar(kind: type[datasets.CIFAR10]) -> Published:
    """CIFAR-10 or CIFAR-100: pickled batches."""

    def splits(root: Path, card: DatasetCard) -> tuple[Split, Split]:  # noqa: ARG001
        parts = [kind(root, train=train, download=True) for train in (True, False)]
        train, test = (
            (torch.from_numpy(part.data).permute(0, 3, 1, 2).contiguous(), torch.tensor(part.targets))
            for part in parts
        )
        return train, test

    return Published((RemoteFile(kind.url, kind.tgz_md5),), splits)


def mnist(kind: type[datasets.MNIST]) -> Published:
    """MNIST and the sets of its format: four IDX files."""

    def splits(root: Path, card: DatasetCard) -> tuple[Split, Split]:  # noqa: ARG001
        parts = [kind(root, train=train, download=True) for train in (True, False)]
        train, test = ((part.data[:, None], part.targets.long()) for part in parts)
        return train, test

    folder = f"{kind.__name__}/raw"
    return Published(
        tuple(RemoteFile(kind.mirrors[0] + name, md5, folder) for name, md5 in kind.resources), splits
    )


def emnist(kind: type[datasets.EMNIST] = datasets.EMNIST) -> Published:
    """EMNIST, balanced: IDX files in one archive, stored with rows and columns exchanged."""

    def splits(root: Path, card: DatasetCard) -> tuple[Split, Split]:  # noqa: ARG001
        parts = [kind(root, "balanced", train=train, download=True) for train in (True, False)]
        train, test = (
            (part.data.transpose(1, 2)[:, None].contiguous(), part.targets.long()) for part in parts
        )
        return train, test

    return Published((RemoteFile(kind.url, kind.md5, f"{kind.__name__}/raw"),), splits)


def svhn(kind: type[datasets.SVHN] = datasets.SVHN) -> Published:
    """SVHN's cropped digits: MATLAB files."""

    def splits(root: Path, card: DatasetCard) -> tuple[Split, Split]:  # noqa: ARG001
        parts = [kind(root, split, download=True) for split in ("train", "test")]
        train, test = (
            (torch.from_numpy(np.ascontiguousarray(part.data)), torch.from_numpy(part.labels))
            for part in parts
        )
        return train, test

    return Published(
        tuple(
            RemoteFile(kind.split_list[split][0], kind.split_list[split][2]) for split in ("train", "test")
        ),
        splits,
    )


def stl10(kind: type[datasets.STL10] = datasets.STL10) -> Published:
    """STL-10's labelled images: raw bytes, columns first."""

    def splits(root: Path, card: DatasetCard) -> tuple[Split, Split]:  # noqa: ARG001
        parts = [kind(root, split, download=True) for split in ("train", "test")]
        train, test = (
            (
                torch.from_numpy(np.ascontiguousarray(part.data)),
                torch.from_numpy(part.labels.astype(np.int64)),
            )
            for part in parts
        )
        return train, test

    return Published((RemoteFile(kind.url, kind.tgz_md5),), splits)


def gtsrb() -> Published:
    """German traffic signs: photographs of mixed sizes."""

    def splits(root: Path, card: DatasetCard) -> tuple[Split, Split]:
        parts = [datasets.GTSRB(root, split, download=True) for split in ("train", "test")]
        train, test = (
            _photographs(((Path(path), label) for path, label in part._samples), card) for part in parts
        )
        return train, test

    base = "https://sid.erda.dk/public/archives/daaeac0d7ce1152aea9b61d9f1e19370/"
    files = {
        "GTSRB-Training_fixed.zip": "513f3c79a4c5141765e10e952eaa2478",
        "GTSRB_Final_Test_Images.zip": "c7e4e6327067d32654124b0fe9e82185",
        "GTSRB_Final_Test_GT.zip": "fe31e9c9270bbcd7b84b7f21a9d9d9e5",
    }
    return Published(tuple(RemoteFile(base + name, md5, "gtsrb") for name, md5 in files.items()), splits)


def eurosat() -> Published:
    """Satellite images of land use; split here."""

    def splits(root: Path, card: DatasetCard) -> tuple[Split, Split]:
        images, labels = _photographs(datasets.EuroSAT(root, download=True, loader=Path), card)
        train, test = train_test_split(
            np.arange(len(labels)), test_size=0.2, stratify=labels.numpy(), random_state=SPLIT_SEED
        )
        return (images[train], labels[train]), (images[test], labels[test])

    url = "https://huggingface.co/datasets/torchgeo/eurosat/resolve/c877bcd43f099cd0196738f714544e355477f3fd/EuroSAT.zip"
    return Published((RemoteFile(url, "c8fa014336c82ac7804f0398fcb19387", "eurosat"),), splits)


def food101(kind: type[datasets.Food101] = datasets.Food101) -> Published:
    """Dishes: photographs of mixed sizes."""

    def splits(root: Path, card: DatasetCard) -> tuple[Split, Split]:
        train, test = (
            _photographs(kind(root, split, download=True, loader=Path), card) for split in ("train", "test")
        )
        return train, test

    return Published((RemoteFile(kind._URL, kind._MD5),), splits)


def flowers102(kind: type[datasets.Flowers102] = datasets.Flowers102) -> Published:
    """Flowers: photographs of mixed sizes; training and validation images are both for training."""

    def splits(root: Path, card: DatasetCard) -> tuple[Split, Split]:
        parts = {
            split: list(kind(root, split, download=True, loader=Path)) for split in ("train", "val", "test")
        }
        return _photographs(parts["train"] + parts["val"], card), _photographs(parts["test"], card)

    return Published(
        tuple(
            RemoteFile(kind._download_url_prefix + name, md5, "flowers-102")
            for name, md5 in kind._file_dict.values()
        ),
        splits,
    )


def tiny_imagenet() -> Published:
    """ImageNet at 64 × 64; the labelled validation images are the test set."""

    def splits(root: Path, card: DatasetCard) -> tuple[Split, Split]:
        base = root / "tiny-imagenet-200"
        if not base.is_dir():
            shutil.unpack_archive(root / "tiny-imagenet-200.zip", root)
        number = {name: index for index, name in enumerate(sorted((base / "wnids.txt").read_text().split()))}
        train = [(path, number[path.parts[-3]]) for path in sorted((base / "train").glob("*/images/*.JPEG"))]
        lines = (base / "val" / "val_annotations.txt").read_text().splitlines()
        test = [
            (base / "val" / "images" / name, number[wnid])
            for name, wnid, *_ in (line.split("\t") for line in lines)
        ]
        return _photographs(train, card), _photographs(test, card)

    return Published(
        (RemoteFile("http://cs231n.stanford.edu/tiny-imagenet-200.zip", "90528d7ca1a48142e341f4ef8d21d0de"),),
        splits,
    )


def _photographs(samples: Iterable[tuple[Path, int]], card: DatasetCard) -> tuple[Tensor, Tensor]:
    """Files at the card's size, with their labels."""
    paths, labels = zip(*samples, strict=True)
    return decode(paths, channels=card.channels, size=card.size, resize=True), torch.tensor(labels)


PUBLISHED: dict[str, Published] = {
    "cifar10": cifar(datasets.CIFAR10),
    "cifar100": cifar(datasets.CIFAR100),
    "cifar224": cifar(datasets.CIFAR100),
    "mnist": mnist(datasets.MNIST),
    "fashion_mnist": mnist(datasets.FashionMNIST),
    "kmnist": mnist(datasets.KMNIST),
    "emnist": emnist(),
    "svhn": svhn(),
    "stl10": stl10(),
    "gtsrb": gtsrb(),
    "eurosat": eurosat(),
    "food101": food101(),
    "flowers102": flowers102(),
    "tiny_imagenet": tiny_imagenet(),
}
"""By the catalogue's names."""
