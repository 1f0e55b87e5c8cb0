"""Random and central parts of images, scaled as Pillow scales them: bilinear or bicubic with antialiasing.

Decisions:
    * Random parts have the distribution of torchvision's `RandomResizedCrop`: ten tries, then the largest
      central part whose ratio is allowed.
    * Images are scaled one by one: each result depends on its image alone, bit for bit. Images of one size
      that are scaled alike go together.
    * Results are rounded to whole grey levels after each of the two passes, as Pillow rounds them. Weights of
      less precision than Pillow's move few pixels by one level and single ones by two.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from cil_core.data.images import shorter_side
from cil_core.data.photographs import Ragged

AREA = (0.08, 1.0)
RATIO = (3 / 4, 4 / 3)
_TRIES = 10

Images = Tensor | Ragged
"""uint8 (B, C, H, W), or images of several sizes."""

Boxes = tuple[Tensor, Tensor, Tensor, Tensor]
"""Top, left, height and width (B,) of a part of each image."""


class Kernel(NamedTuple):
    """How images are scaled.

    Args:
        name: bilinear or bicubic.
        antialias: whether shrinking averages over all pixels, as Pillow does.
    """

    name: str = "bilinear"
    antialias: bool = True


BILINEAR = Kernel()


def scaled(images: Tensor, height: int, width: int, kernel: Kernel = BILINEAR) -> Tensor:
    """Images of one size at another, uint8 (B, C, height, width)."""
    if images.shape[-2:] == (height, width):
        return images
    if images.device.type == "cpu":
        return F.interpolate(images, (height, width), mode=kernel.name, antialias=kernel.antialias)
    pixels = images.float()
    for size in ((pixels.shape[-2], width), (height, width)):
        if pixels.shape[-2:] != size:
            pixels = F.interpolate(pixels, size, mode=kernel.name, antialias=kernel.antialias)
            pixels = pixels.round_().clamp_(0, 255)
    return pixels.to(torch.uint8)


def central(images: Images, size: int, shorter: int | None = None, kernel: Kernel = BILINEAR) -> Tensor:
    """The middle of each image, uint8 (B, C, size, size); smaller images as they are.

    Args:
        images: of one size or of several.
        size: side of the result in pixels.
        shorter: scales each image first, so that its shorter side has this many pixels.
        kernel: of the scaling.
    """
    if isinstance(images, Tensor):
        return _middle(_with_shorter(images, shorter, kernel), size)
    return torch.cat([_middle(_with_shorter(image, shorter, kernel), size) for image in images])


def random_parts(images: Images, boxes: Boxes, size: int, kernel: Kernel = BILINEAR) -> Tensor:
    """These parts of the images at `size` × `size`, uint8 (B, C, size, size)."""
    places = torch.stack(boxes, dim=1).int().tolist()
    return torch.cat(
        [
            scaled(image[..., top : top + high, left : left + wide], size, size, kernel)
            for image, (top, left, high, wide) in zip(one_by_one(images), places, strict=True)
        ]
    )


def one_by_one(images: Images) -> Iterator[Tensor]:
    """Each image as uint8 (1, C, H, W)."""
    yield from images.split(1) if isinstance(images, Tensor) else images


def extents(images: Images) -> tuple[Tensor, Tensor]:
    """Heights and widths (B,) as float, on the device of the images."""
    if isinstance(images, Tensor):
        height, width = (float(extent) for extent in images.shape[-2:])
        full = images.new_full((len(images),), height, dtype=torch.float32)
        return full, torch.full_like(full, width)
    shapes = torch.tensor(images.shapes, dtype=torch.float32, device=images.pixels.device)
    return shapes[:, 0], shapes[:, 1]


def crop_boxes(
    height: Tensor,
    width: Tensor,
    generator: torch.Generator,
    area: tuple[float, float] = AREA,
    ratio: tuple[float, float] = RATIO,
) -> Boxes:
    """Random parts of images with these heights and widths (B,).

    The share of the area is uniform in `area`; the log of width / height is uniform between those of `ratio`.
    """

    def uniform(low: float, high: float, *shape: int) -> Tensor:
        return torch.empty(shape, device=height.device).uniform_(low, high, generator=generator)

    batch = len(height)
    pixels = (height * width)[:, None] * uniform(*area, batch, _TRIES)
    ratios = uniform(math.log(ratio[0]), math.log(ratio[1]), batch, _TRIES).exp()
    wide, high = (pixels * ratios).sqrt().round(), (pixels / ratios).sqrt().round()
    fits = (wide > 0) & (wide <= width[:, None]) & (high > 0) & (high <= height[:, None])
    first = fits.int().argmax(dim=1, keepdim=True)
    found = fits.any(dim=1)
    largest_high = torch.minimum(height, (width / ratio[0]).round())
    largest_wide = torch.minimum(width, (height * ratio[1]).round())
    high = torch.where(found, high.gather(1, first)[:, 0], largest_high)
    wide = torch.where(found, wide.gather(1, first)[:, 0], largest_wide)
    top = (uniform(0, 1, batch) * (height - high + 1)).floor()
    left = (uniform(0, 1, batch) * (width - wide + 1)).floor()
    top = torch.where(found, top, ((height - high) / 2).floor())
    left = torch.where(found, left, ((width - wide) / 2).floor())
    return top, left, high, wide


def _with_shorter(images: Tensor, shorter: int | None, kernel: Kernel) -> Tensor:
    if shorter is None:
        return images
    height, width = images.shape[-2:]
    return scaled(images, *shorter_side(height, width, shorter), kernel)


def _middle(images: Tensor, size: int) -> Tensor:
    top, left = (round(max(0, extent - size) / 2) for extent in images.shape[-2:])
    return images[..., top : top + size, left : left + size]
