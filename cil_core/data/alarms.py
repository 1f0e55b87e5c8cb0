"""Signs of a damaged dataset: identical images, test images among the training images, no contrast.

Alarms are warnings, not errors: real collections hold a few copies. The dataset's card keeps them for the
readers of results.
"""

from __future__ import annotations

import hashlib
import zlib
from collections import Counter
from collections.abc import Iterable, Sequence
from itertools import chain

from torch import Tensor

from cil_core.data.photographs import Photographs
from cil_core.data.source import Arrays

_LEAST = 5e-5
"""Statistics are stated with four digits; less than half of the last one is zero."""


def alarms(arrays: Arrays, mean: Sequence[float], std: Sequence[float]) -> tuple[str, ...]:
    """One sentence per alarm.

    Args:
        arrays: the decoded images.
        mean: measured mean of each channel, as a fraction of 255.
        std: measured standard deviation of each channel, likewise.
    """
    kept = _each(arrays.train_images, arrays.train_shapes), _each(arrays.test_images, arrays.test_shapes)
    train, test = _digests(*kept)
    found = [
        *_copies("training", train, arrays.train_labels.tolist()),
        *_copies("test", test, arrays.test_labels.tolist()),
    ]
    known = set(train)
    shared = sum(digest in known for digest in test)
    if shared:
        found.append(f"{shared} of {len(test)} test images are also training images")
    flat = sum(map(_is_flat, kept[0]))
    if flat:
        found.append(f"{flat} of {len(train)} training images have one colour throughout")
    return (*found, *_contrast(mean, std))


def _each(images: Tensor, shapes: Tensor | None) -> Sequence[Tensor] | Photographs:
    """Each image: (C, H, W), or (H, W, C) of whole photographs."""
    if shapes is None:
        return images.unbind()
    return Photographs(images, shapes, images.numel() // int(shapes.prod(dim=1).sum()))


def _digests(*splits: Iterable[Tensor]) -> list[list[bytes]]:
    """A digest per image and split.

    A checksum, which is quicker, selects the images that need the digest: all others are unique.
    """
    sums = [[zlib.crc32(image.numpy().data) for image in images] for images in splits]
    counts = Counter(chain.from_iterable(sums))
    return [
        [
            _digest(image) if counts[value] > 1 else value.to_bytes(4)
            for image, value in zip(images, values, strict=True)
        ]
        for images, values in zip(splits, sums, strict=True)
    ]


def _digest(image: Tensor) -> bytes:
    return hashlib.sha256(image.numpy().data).digest()


def _copies(split: str, digests: list[bytes], labels: list[int]) -> list[str]:
    distinct = len(set(digests))
    if distinct == 1 < len(digests):
        return [f"all {len(digests)} {split} images are identical"]
    found = []
    if distinct < len(digests):
        copies = len(digests) - distinct
        found.append(f"{copies} of {len(digests)} {split} images are copies of another {split} image")
    classes = Counter(digest for digest, _ in set(zip(digests, labels, strict=True)))
    ambiguous = sum(count > 1 for count in classes.values())
    if ambiguous:
        found.append(f"{ambiguous} {split} images appear under more than one class")
    return found


def _is_flat(image: Tensor) -> bool:
    """Whether all pixels of each channel have one value; two corners rule out nearly all images at once."""
    pixels = image.numpy()
    pixels = pixels if pixels.shape[0] in (1, 3) else pixels.transpose(2, 0, 1)
    corner = pixels[:, :1, :1]
    return bool((corner[:, 0, 0] == pixels[:, -1, -1]).all() and (corner == pixels).all())


def _contrast(mean: Sequence[float], std: Sequence[float]) -> list[str]:
    found = []
    for channel, (centre, spread) in enumerate(zip(mean, std, strict=True)):
        if centre < _LEAST or centre > 1 - _LEAST:
            found.append(
                f"channel {channel} has the mean {centre:.0f}: its training images are black or white"
            )
        if spread < _LEAST:
            found.append(f"channel {channel} has no contrast: its standard deviation is 0")
    return found
