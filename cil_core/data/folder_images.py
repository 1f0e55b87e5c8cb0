"""The images of a folder as arrays, and what is measured on them for its card."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from pathlib import Path

import torch
from torch import Tensor

from cil_core.data.images import decode
from cil_core.data.listing import Listing
from cil_core.data.photographs import Photographs, decode_all
from cil_core.data.pixels import Colour
from cil_core.data.source import Arrays
from cil_core.data.split_file import SPLITS
from cil_core.spec.catalog import DatasetCard

_CHUNK = 2**22
"""Pixels that are counted at once."""


def decoded(
    files: Listing,
    class_names: tuple[str, ...],
    card: DatasetCard,
    directory: Path,
    *,
    resize: bool,
    background: Colour | None,
    notes: Counter[str],
) -> Arrays:
    """All images of a folder.

    Args:
        files: by split.
        class_names: in the order of their numbers.
        card: states size, channels and whether photographs are kept whole.
        directory: receives the pixels of whole photographs, `<split>_images.npy`.
        resize: whether images of other sizes are scaled and cropped.
        background: shows through transparent pixels.
        notes: counts the conversions that were applied.

    Raises:
        DataError: names the first file that cannot be decoded or has another size.
    """
    number = {name: index for index, name in enumerate(class_names)}
    found: dict[str, Tensor] = {}
    for split in SPLITS:
        paths = [file for file, _ in files[split]]
        found[f"{split}_labels"] = torch.tensor([number[name] for _, name in files[split]])
        if card.whole:
            kept = decode_all(paths, directory / f"{split}_images.npy", card, background, notes)
            found[f"{split}_images"], found[f"{split}_shapes"] = kept.pixels, kept.shapes
        else:
            found[f"{split}_images"] = decode(
                paths,
                channels=card.channels,
                size=card.size,
                resize=resize,
                background=background,
                notes=notes,
            )
    return Arrays(**found)


def statistics(arrays: Arrays, channels: int) -> tuple[list[float], list[float]]:
    """Mean and standard deviation of each channel as fractions of 255, from exact counts."""
    counts = torch.zeros(channels, 256, dtype=torch.long)
    for pixels in _pixels(arrays, channels):  # (C, pixels)
        counts += torch.stack([torch.bincount(channel, minlength=256) for channel in pixels])
    values = torch.arange(256, dtype=torch.float64) / 255
    shares = counts.double() / counts.sum(dim=1, keepdim=True)
    mean = shares @ values
    std = (shares @ values**2 - mean**2).clamp(min=0).sqrt()
    return mean.tolist(), std.tolist()


def first_change(before: Arrays, now: Arrays, split: str, channels: int) -> tuple[int, int] | None:
    """Position of the first image that differs and how many do; None if all are equal.

    Args:
        before: as registered.
        now: of the same files, as they are now.
        split: `train` or `test`.
        channels: of the images.
    """
    one, other = (
        (each.train_images, each.train_shapes) if split == "train" else (each.test_images, each.test_shapes)
        for each in (before, now)
    )
    if one[1] is None or other[1] is None:
        changed = torch.nonzero((one[0] != other[0]).flatten(1).any(dim=1)).flatten().tolist()
    else:
        pairs = zip(
            Photographs(one[0], one[1], channels), Photographs(other[0], other[1], channels), strict=True
        )
        changed = [number for number, (left, right) in enumerate(pairs) if not torch.equal(left, right)]
    return (changed[0], len(changed)) if changed else None


def _pixels(arrays: Arrays, channels: int) -> Iterable[Tensor]:
    """The training pixels in pieces (C, pixels)."""
    if arrays.train_shapes is not None:
        yield from (piece.T for piece in arrays.train_images.view(-1, channels).split(_CHUNK))
        return
    side = arrays.train_images[0, 0].numel()
    for images in arrays.train_images.split(max(1, _CHUNK // side)):
        yield images.transpose(0, 1).flatten(1)
