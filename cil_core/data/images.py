"""Image files to one uint8 tensor; what cannot be decoded, or has another size than the rest, is refused by name."""

from __future__ import annotations

import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image, ImageOps
from torch import Tensor

from cil_core.spec.errors import DataError

EXTENSIONS = frozenset({".bmp", ".jpeg", ".jpg", ".pgm", ".png", ".ppm", ".tif", ".tiff", ".webp"})
"""Files with other endings are not taken for images."""

_MODES = {1: "L", 3: "RGB"}


def decode(paths: Sequence[Path], *, channels: int, size: int, resize: bool) -> Tensor:
    """All images, uint8 (N, channels, size, size).

    Args:
        paths: the files, at least one.
        channels: 1 for grey, 3 for colour.
        size: side in pixels.
        resize: whether other sizes are scaled and cropped around the centre; otherwise they are refused.

    Raises:
        DataError: names the first file that cannot be decoded or has another size.
    """
    images = torch.empty((len(paths), channels, size, size), dtype=torch.uint8)
    pixels = images.numpy()

    def fill(index: int) -> None:
        pixels[index] = _pixels(paths[index], channels=channels, size=size, resize=resize)

    with ThreadPoolExecutor(min(8, os.cpu_count() or 1)) as threads:
        for _ in threads.map(fill, range(len(paths))):
            pass
    return images


def side(path: Path) -> int:
    """Side of a square image in pixels.

    Raises:
        DataError: if it is not square or cannot be decoded.
    """
    with _opened(path) as image:
        width, height = image.size
    if width != height:
        raise DataError(
            f"{path} has {width} × {height} pixels; images are square, or a size is stated to which all are resized"
        )
    return width


def _pixels(path: Path, *, channels: int, size: int, resize: bool) -> NDArray[np.uint8]:
    """One image (channels, size, size)."""
    with _opened(path) as file:
        try:
            image = file.convert(_MODES[channels])
        except (
            OSError,
            SyntaxError,
            ValueError,
        ) as error:  # what Pillow raises for truncated and malformed files
            raise DataError(f"{path} cannot be decoded: {error}") from error
    if image.size != (size, size):
        if not resize:
            raise DataError(
                f"{path} has {image.width} × {image.height} pixels, not {size} × {size}; state a size to which all images are resized"
            )
        image = ImageOps.fit(image, (size, size), Image.Resampling.BILINEAR)
    return np.asarray(image, dtype=np.uint8).reshape(size, size, channels).transpose(2, 0, 1)


def _opened(path: Path) -> Image.Image:
    try:
        return Image.open(path)
    except (OSError, Image.DecompressionBombError) as error:
        raise DataError(f"{path} cannot be opened as an image: {error}") from error
