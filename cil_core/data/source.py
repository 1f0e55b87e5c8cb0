"""`Source`: a whole dataset as it came from its loader, with the dataset's own labels."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, fields
from functools import cached_property

import torch
from torch import Tensor

from cil_core.spec.catalog import DatasetCard
from cil_core.spec.errors import DataError


@dataclass(frozen=True, eq=False)
class Arrays:
    """Images and the dataset's own labels, on the CPU.

    Args:
        train_images: uint8 (N, C, H, W).
        train_labels: int64 (N,).
        test_images: uint8 (M, C, H, W).
        test_labels: int64 (M,).
    """

    train_images: Tensor
    train_labels: Tensor
    test_images: Tensor
    test_labels: Tensor

    @cached_property
    def digests(self) -> dict[str, str]:
        """SHA-256 of each array, by name."""
        return {
            name: hashlib.sha256(array.contiguous().numpy().data).hexdigest()
            for name, array in self.arrays_by_name().items()
        }

    def arrays_by_name(self) -> dict[str, Tensor]:
        """The four arrays by name."""
        return {field.name: getattr(self, field.name) for field in fields(Arrays)}


@dataclass(frozen=True, eq=False)
class Source:
    """A dataset: its card and its arrays.

    Args:
        card: what the dataset is and how its images are prepared.
        arrays: its images and labels.

    Raises:
        DataError: if the arrays are not what the card says: another image size or number, a label out of
            range, a class without images.
    """

    card: DatasetCard
    arrays: Arrays

    def __post_init__(self) -> None:
        self._check("training", self.arrays.train_images, self.arrays.train_labels, self.card.train_images)
        self._check("test", self.arrays.test_images, self.arrays.test_labels, self.card.test_images)

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 over all pixels and labels and over how the card prepares them."""
        card = self.card
        preparation = [
            card.classes,
            card.channels,
            card.size,
            card.mean,
            card.std,
            card.augment,
            *([card.stored] if card.stored else []),
            *([card.background] if card.background else []),
        ]
        return hashlib.sha256(
            json.dumps([preparation, sorted(self.arrays.digests.items())]).encode()
        ).hexdigest()

    def _check(self, split: str, images: Tensor, labels: Tensor, count: int) -> None:
        name, classes, shape = self.card.name, self.card.classes, self.card.shape
        if images.dtype != torch.uint8 or tuple(images.shape[1:]) != shape:
            raise DataError(
                f"{name}: {split} images are {images.dtype} {tuple(images.shape[1:])}, not uint8 {shape}"
            )
        if labels.dtype != torch.int64 or not len(images) == len(labels) == count:
            raise DataError(
                f"{name}: {len(images)} {split} images with {len(labels)} labels ({labels.dtype}); there are "
                f"{count}, with int64 labels"
            )
        outside = labels[(labels < 0) | (labels >= classes)]
        if len(outside):
            raise DataError(f"{name}: {split} label {int(outside[0])} is outside 0 … {classes - 1}")
        missing = torch.nonzero(torch.bincount(labels, minlength=classes) == 0).flatten().tolist()
        if missing:
            raise DataError(f"{name}: no {split} image of class {', '.join(map(str, missing[:10]))}")
