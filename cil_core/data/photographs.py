"""`Photographs`: images of several sizes in one memory-mapped file, which datasets name by number.

Decisions:
    * Each photograph keeps its own height and width. Crops are drawn from the whole of it, as from a file.
    * A dataset holds numbers (int64) instead of pixels. Memory, reservoirs and checkpoints hold numbers too,
      so an exemplar costs eight bytes of the device. The number −1 − i is photograph i mirrored.
    * Pixels are read per batch into one flat tensor, which moves to the device at once.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from cil_core.data.images import decode_each
from cil_core.data.pixels import Colour
from cil_core.spec.catalog import DatasetCard

PIECE = 256
"""Photographs decoded between two writes."""


@dataclass(frozen=True, slots=True, eq=False)
class Ragged:
    """A batch of images of several sizes.

    Args:
        pixels: uint8, on the device: the images one after another, each (H, W, C).
        shapes: height and width of each image.
        channels: C.
        mirrored: which images appear mirrored.
    """

    pixels: Tensor
    shapes: tuple[tuple[int, int], ...]
    channels: int
    mirrored: tuple[bool, ...]

    def __len__(self) -> int:
        """Number of images."""
        return len(self.shapes)

    def __iter__(self) -> Iterator[Tensor]:
        """Each image as uint8 (1, C, H, W), a view unless it is mirrored."""
        start = 0
        for (height, width), mirrored in zip(self.shapes, self.mirrored, strict=True):
            end = start + height * width * self.channels
            image = self.pixels[start:end].view(1, height, width, self.channels).permute(0, 3, 1, 2)
            yield image.flip(-1) if mirrored else image
            start = end


class PixelFile:
    """A `.npy` file of bytes that grows: pixels are appended, and the header is completed at the end.

    Args:
        file: where it is written.
    """

    def __init__(self, file: Path) -> None:
        self._file = file.open("wb")
        self._bytes = 0
        self._write_header()

    def __enter__(self) -> PixelFile:
        """The file, open for `append`."""
        return self

    def __exit__(self, *_: object) -> None:
        """State the length in the header, whose own length does not change."""
        self._file.seek(0)
        self._write_header()
        self._file.close()

    def append(self, image: NDArray[np.uint8]) -> None:
        """Add the pixels of one image (H, W, C)."""
        self._file.write(np.ascontiguousarray(image).data)
        self._bytes += image.size

    def _write_header(self) -> None:
        header = {"descr": "|u1", "fortran_order": False, "shape": (self._bytes,)}
        np.lib.format.write_array_header_1_0(self._file, header)


@dataclass(frozen=True, eq=False)
class Photographs:
    """All photographs of a split.

    Args:
        pixels: uint8 on the CPU, as a rule memory-mapped: the images one after another, each (H, W, C).
        shapes: int64 (N, 2), heights and widths.
        channels: C.
    """

    pixels: Tensor
    shapes: Tensor
    channels: int

    def __len__(self) -> int:
        """N."""
        return len(self.shapes)

    @cached_property
    def ends(self) -> Tensor:
        """Where each photograph ends in `pixels`, int64 (N,)."""
        return (self.shapes.prod(dim=1) * self.channels).cumsum(dim=0)

    def __iter__(self) -> Iterator[Tensor]:
        """Each photograph, uint8 (H, W, C)."""
        for (height, width), end in zip(self.shapes.tolist(), self.ends.tolist(), strict=True):
            yield self.pixels[end - height * width * self.channels : end].view(height, width, self.channels)

    def read(self, numbers: Tensor, device: torch.device | str = "cpu") -> Ragged:
        """The photographs of these numbers, int64 (B,), copied to `device`."""
        numbers = numbers.cpu()
        mirrored = numbers < 0
        rows = torch.where(mirrored, -1 - numbers, numbers)
        shapes = self.shapes[rows]
        sizes = shapes.prod(dim=1) * self.channels
        on_gpu = torch.device(device).type == "cuda"
        pixels = torch.empty(int(sizes.sum()), dtype=torch.uint8, pin_memory=on_gpu)
        start = 0
        for end, size in zip(self.ends[rows].tolist(), sizes.tolist(), strict=True):
            pixels[start : start + size] = self.pixels[end - size : end]
            start += size
        return Ragged(
            pixels.to(device, non_blocking=True),
            tuple((height, width) for height, width in shapes.tolist()),
            self.channels,
            tuple(mirrored.tolist()),
        )


def decode_photographs(
    paths: Sequence[Path],
    file: Path,
    card: DatasetCard,
    background: Colour | None = None,
    notes: Counter[str] | None = None,
) -> Generator[int, None, Photographs]:
    """Decode photographs one piece at a time into a file; yields how many are written.

    Args:
        paths: the photographs.
        file: receives their pixels.
        card: states channels, shorter side and kernel.
        background: see `images.decode`.
        notes: likewise.

    Returns:
        The photographs, memory-mapped.

    Raises:
        DataError: names the first file that cannot be decoded.
    """
    shapes: list[tuple[int, int]] = []
    with PixelFile(file) as pixels:
        for start in range(0, len(paths), PIECE):
            piece = paths[start : start + PIECE]
            for image in decode_each(piece, card, background=background, notes=notes):
                pixels.append(image)
                shapes.append(image.shape[:2])
            yield len(shapes)
    return Photographs(torch.from_numpy(np.load(file, mmap_mode="c")), torch.tensor(shapes), card.channels)


def decode_all(
    paths: Sequence[Path],
    file: Path,
    card: DatasetCard,
    background: Colour | None = None,
    notes: Counter[str] | None = None,
) -> Photographs:
    """The same in one call."""
    pieces = decode_photographs(paths, file, card, background, notes)
    while True:
        try:
            next(pieces)
        except StopIteration as finished:
            photographs: Photographs = finished.value
            return photographs
