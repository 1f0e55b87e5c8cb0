"""Image files to one uint8 tensor.

A file that cannot be decoded, or differs in size from the rest, is refused by name.
"""

from __future__ import annotations

import os
import warnings
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import cache
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError
from torch import Tensor

from cil_core.data.pixels import Colour, converted
from cil_core.spec.cards import DatasetCard
from cil_core.spec.errors import DataError, DataUnavailable

EXTENSIONS = frozenset({".bmp", ".jpeg", ".jpg", ".pgm", ".png", ".ppm", ".tif", ".tiff", ".webp"})
"""Endings of image files in published datasets, and in folders that earlier versions registered."""

THINNEST = 200
"""The largest ratio of the sides of a photograph that is kept whole."""

_FURTHER = (
    ".apng .avif .avifs .dib .gif .ico .j2c .j2k .jfif .jp2 .jpc .jpe .jpf .jpx .pbm .pcx .pnm .qoi .sgi .tga"
)
_UNSUPPORTED = ".arw .cr2 .cr3 .dng .eps .exr .hdr .heic .heif .jxl .nef .pdf .psd .raw .rw2 .svg"


@cache
def readable() -> frozenset[str]:
    """Endings of image files that this installation decodes."""
    registered = Image.registered_extensions()
    return EXTENSIONS | {ending for ending in _FURTHER.split() if registered.get(ending) in Image.OPEN}


def is_picture(ending: str) -> bool:
    """Whether files of this ending hold pictures, readable or not."""
    return ending in EXTENSIONS or ending in _FURTHER.split() or ending in _UNSUPPORTED.split()


def decode(
    paths: Sequence[Path],
    *,
    channels: int,
    size: int,
    resize: bool,
    background: Colour | None = None,
    notes: Counter[str] | None = None,
) -> Tensor:
    """All images, uint8 (N, channels, size, size).

    Args:
        paths: the files, at least one.
        channels: 1 for grey, 3 for colour.
        size: side in pixels.
        resize: whether other sizes are scaled and cropped around the centre; otherwise they are refused.
        background: shows through transparent pixels; None for Pillow's plain conversion (see `pixels`).
        notes: counts the conversions that were applied.

    Raises:
        DataError: names the first file that cannot be decoded or has another size.
        DataUnavailable: names the first file that cannot be opened.
    """
    images = torch.empty((len(paths), channels, size, size), dtype=torch.uint8)
    pixels = images.numpy()

    def fill(index: int) -> list[str]:
        with _reading(paths[index]) as file:
            image, applied = converted(file, channels, background)
        pixels[index] = _sized(image, paths[index], size, resize=resize)
        return applied

    with _quiet(), ThreadPoolExecutor(min(8, os.cpu_count() or 1)) as threads:
        for applied in threads.map(fill, range(len(paths))):
            if notes is not None:
                notes.update(applied)
    return images


def decode_each(
    paths: Sequence[Path],
    card: DatasetCard,
    *,
    background: Colour | None = None,
    notes: Counter[str] | None = None,
) -> Iterator[NDArray[np.uint8]]:
    """Each image at the card's shorter side, in its own ratio, uint8 (H, W, channels).

    Args:
        paths: the files.
        card: states channels, shorter side and kernel.
        background: as for `decode`.
        notes: likewise.

    Raises:
        DataError: names the first file that cannot be decoded.
        DataUnavailable: names the first file that cannot be opened.
    """
    shorter, kernel = card.stored or card.size, Image.Resampling[card.kernel.upper()]

    def read(path: Path) -> tuple[NDArray[np.uint8], list[str]]:
        with _reading(path) as file:
            image, applied = converted(file, card.channels, background)
        if max(image.size) > THINNEST * min(image.size):
            raise DataError(
                f"{path} has {image.width} × {image.height} pixels: one side is more than {THINNEST} times "
                "the other, too much for a photograph that is kept whole"
            )
        height, width = shorter_side(image.height, image.width, shorter)
        image = image.resize((width, height), kernel)
        return np.asarray(image, dtype=np.uint8).reshape(height, width, -1), applied

    with _quiet(), ThreadPoolExecutor(min(8, os.cpu_count() or 1)) as threads:
        for image, applied in threads.map(read, paths):
            if notes is not None:
                notes.update(applied)
            yield image


def shorter_side(height: int, width: int, shorter: int) -> tuple[int, int]:
    """Height and width after scaling the shorter side to `shorter`; the longer one is rounded down."""
    if height <= width:
        return shorter, int(shorter * width / height)
    return int(shorter * height / width), shorter


def side(path: Path) -> int:
    """Side of a square image in pixels.

    Raises:
        DataError: if it is not square or cannot be decoded.
    """
    with _quiet(), _reading(path) as image:
        width, height = image.size
    if width != height:
        raise DataError(
            f"{path} has {width} × {height} pixels; images are square, or a size is stated to which all are "
            "resized"
        )
    return width


def _sized(image: Image.Image, path: Path, size: int, *, resize: bool) -> NDArray[np.uint8]:
    """An image in mode L or RGB as (channels, size, size)."""
    if image.size != (size, size):
        if not resize:
            raise DataError(
                f"{path} has {image.width} × {image.height} pixels, not {size} × {size}; "
                "state a size to which all images are resized"
            )
        image = ImageOps.fit(image, (size, size), Image.Resampling.BILINEAR)
    return np.asarray(image, dtype=np.uint8).reshape(size, size, -1).transpose(2, 0, 1)


@contextmanager
def _reading(path: Path) -> Iterator[Image.Image]:
    """An image file; every exception of Pillow names the file."""
    try:
        with Image.open(path) as image:
            yield image
    except (FileNotFoundError, PermissionError) as error:
        raise DataUnavailable(f"{path} cannot be opened: {error.strerror}") from error
    except UnidentifiedImageError as error:
        reason = "it is no image of a known format" if path.stat().st_size else "the file is empty"
        raise DataError(f"{path} cannot be decoded: {reason}") from error
    except (MemoryError, DataError):
        raise
    except Exception as error:  # Pillow's plug-ins raise many kinds, depending on the damage
        raise DataError(f"{path} cannot be decoded: {error}") from error


@contextmanager
def _quiet() -> Iterator[None]:
    """Pillow's warnings name no file, and are about metadata or about sizes that it still decodes."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", module=r"PIL\.")
        yield
