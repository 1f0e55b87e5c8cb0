"""`Source`: a whole dataset as it came from its loader, with the dataset's own labels."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, fields
from functools import cached_property

import torch
from torch import Tensor

from cil_core.data.photographs import Photographs
from cil_core.spec.catalog import DatasetCard
from cil_core.spec.errors import DataError


@dataclass(frozen=True, eq=False)
class Arrays:
    """Images and the dataset's own labels, on the CPU.

    Args:
        train_images: uint8 (N, C, H, W); of photographs the flat pixels, as `Photographs` holds them.
        train_labels: int64 (N,).
        test_images: likewise.
        test_labels: int64 (M,).
        train_shapes: heights and widths of photographs, int64 (N, 2); None for images of one size.
        test_shapes: likewise.
    """

    train_images: Tensor
    train_labels: Tensor
    test_images: Tensor
    test_labels: Tensor
    train_shapes: Tensor | None = None
    test_shapes: Tensor | None = None

    @cached_property
    def digests(self) -> dict[str, str]:
        """SHA-256 of each array, by name."""
        return {
            name: hashlib.sha256(array.contiguous().numpy().data).hexdigest()
            for name, array in self.arrays_by_name().items()
        }

    def arrays_by_name(self) -> dict[str, Tensor]:
        """The arrays by name: four, or six of photographs."""
        named = {field.name: getattr(self, field.name) for field in fields(Arrays)}
        return {name: array for name, array in named.items() if array is not None}


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
        arrays, card = self.arrays, self.card
        for split, images, shapes, labels, count in (
            ("training", arrays.train_images, arrays.train_shapes, arrays.train_labels, card.train_images),
            ("test", arrays.test_images, arrays.test_shapes, arrays.test_labels, card.test_images),
        ):
            found = self._check_images(split, images, shapes)
            self._check_labels(split, found, labels, count)

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
            *(["whole", card.kernel] if card.whole else []),
            *([card.background] if card.background else []),
        ]
        return hashlib.sha256(
            json.dumps([preparation, sorted(self.arrays.digests.items())]).encode()
        ).hexdigest()

    def photographs(self, split: str) -> Photographs | None:
        """The photographs of `train` or `test`; None for images of one size."""
        pixels, shapes = (
            (self.arrays.train_images, self.arrays.train_shapes)
            if split == "train"
            else (self.arrays.test_images, self.arrays.test_shapes)
        )
        return None if shapes is None else Photographs(pixels, shapes, self.card.channels)

    def _check_images(self, split: str, images: Tensor, shapes: Tensor | None) -> int:
        """The number of images."""
        name, stored = self.card.name, self.card.stored
        if shapes is None and self.card.whole:
            raise DataError(f"{name}: {split} images have one size, but its photographs are kept whole")
        if shapes is None:
            if images.dtype != torch.uint8 or tuple(images.shape[1:]) != self.card.shape:
                raise DataError(
                    f"{name}: {split} images are {images.dtype} {tuple(images.shape[1:])}, not uint8 "
                    f"{self.card.shape}"
                )
            return len(images)
        if not self.card.whole or stored is None:
            raise DataError(f"{name}: {split} images are whole photographs, not {self.card.shape}")
        odd = torch.nonzero(shapes.amin(dim=1) != stored).flatten().tolist()
        if odd:
            raise DataError(
                f"{name}: {split} photograph {odd[0]} has {tuple(shapes[odd[0]].tolist())} pixels; the "
                f"shorter side is {stored}"
            )
        wanted = int(shapes.prod(dim=1).sum()) * self.card.channels
        if images.dtype != torch.uint8 or tuple(images.shape) != (wanted,):
            raise DataError(
                f"{name}: pixels of {split} photographs are {images.dtype} {tuple(images.shape)}, not uint8 "
                f"({wanted},)"
            )
        return len(shapes)

    def _check_labels(self, split: str, images: int, labels: Tensor, count: int) -> None:
        name, classes = self.card.name, self.card.classes
        if labels.dtype != torch.int64 or not images == len(labels) == count:
            raise DataError(
                f"{name}: {images} {split} images with {len(labels)} labels ({labels.dtype}); there are "
                f"{count}, with int64 labels"
            )
        outside = labels[(labels < 0) | (labels >= classes)]
        if len(outside):
            raise DataError(f"{name}: {split} label {int(outside[0])} is outside 0 … {classes - 1}")
        missing = torch.nonzero(torch.bincount(labels, minlength=classes) == 0).flatten().tolist()
        if missing:
            raise DataError(f"{name}: no {split} image of class {', '.join(map(str, missing[:10]))}")
