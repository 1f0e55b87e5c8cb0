"""`Source`: a whole dataset as it came from its loader, with original labels."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from cil_core.catalog import DatasetCard
from cil_core.errors import DataError


@dataclass(frozen=True)
class Source:
    """Training and test images with the labels of the dataset's own numbering, on the CPU.

    Args:
        card: what the dataset is and how its images are prepared.
        train_images: uint8 (N, C, H, W).
        train_labels: int64 (N,).
        test_images: uint8 (M, C, H, W).
        test_labels: int64 (M,).

    Raises:
        DataError: if the arrays are not what the card says: another image size, a label out of range, a class without images.
    """

    card: DatasetCard
    train_images: Tensor
    train_labels: Tensor
    test_images: Tensor
    test_labels: Tensor

    def __post_init__(self) -> None:
        for split, images, labels in (("training", self.train_images, self.train_labels), ("test", self.test_images, self.test_labels)):
            self._check(split, images, labels)

    def _check(self, split: str, images: Tensor, labels: Tensor) -> None:
        name, classes, shape = self.card.name, self.card.classes, (self.card.channels, self.card.size, self.card.size)
        if images.dtype != torch.uint8 or tuple(images.shape[1:]) != shape:
            raise DataError(f"{name}: {split} images are {images.dtype} {tuple(images.shape[1:])}, not uint8 {shape}")
        if len(images) != len(labels):
            raise DataError(f"{name}: {len(images)} {split} images with {len(labels)} labels")
        outside = labels[(labels < 0) | (labels >= classes)]
        if len(outside):
            raise DataError(f"{name}: {split} label {int(outside[0])} is outside 0 … {classes - 1}")
        missing = torch.nonzero(torch.bincount(labels, minlength=classes) == 0).flatten().tolist()
        if missing:
            raise DataError(f"{name}: no {split} image of class {', '.join(map(str, missing[:10]))}")

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 over all pixels and labels and over how the card prepares them."""
        card = self.card
        digest = hashlib.sha256(json.dumps([card.classes, card.channels, card.size, card.mean, card.std, card.augment]).encode())
        for array in (self.train_images, self.train_labels, self.test_images, self.test_labels):
            digest.update(array.contiguous().numpy().data)
        return digest.hexdigest()
