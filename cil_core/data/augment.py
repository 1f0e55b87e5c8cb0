"""`Transform`: turns raw pixels into network inputs, with batched tensor code and a given generator.

A dataset's card lists its training augmentations as tokens, applied in order:

    crop:P          random crop after zero padding by P pixels
    brightness:B    factor uniform in max(0, 1 − B) … 1 + B
    flip            mirror with probability 1/2
    cutout:S        blacken a square of side S around a random pixel
    autoaugment     the CIFAR-10 policy of Cubuk et al.
    resizedcrop:S   a random part of 8 to 100 % of the area, scaled to S × S

Decisions:
    * An augmentation maps uint8 (B, C, H, W) to uint8 and treats each image independently, with the
      distributions and the rounding of torchvision's transforms of one image. Only `resizedcrop` changes the
      size, and scales bilinearly without antialiasing.
    * Normalisation comes last. Evaluation does nothing else, except that stored images larger than the card's
      size are cropped around the centre.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

from cil_core.spec.catalog import DatasetCard

Augmentation = Callable[[Tensor, torch.Generator], Tensor]
"""(uint8 (B, C, H, W), generator) → uint8 (B, C, H, W)."""


class Transform:
    """Prepares images of one dataset.

    Args:
        card: states normalisation and augmentation.
        augment: tokens to use instead of the card's.

    Raises:
        ValueError: for a token that is unknown or has a bad number, or a card that does not normalise each of
            its channels.
    """

    def __init__(self, card: DatasetCard, augment: tuple[str, ...] | None = None) -> None:
        if not len(card.mean) == len(card.std) == card.channels or min(card.std) <= 0:
            raise ValueError(
                f"{card.channels} channel(s) need as many means and positive deviations, not {card.mean} and "
                f"{card.std}"
            )
        self.card = card
        self.tokens = card.augment if augment is None else augment
        if "autoaugment" in self.tokens and card.channels not in (1, 3):
            raise ValueError(f"autoaugment is defined for 1 or 3 channels, not {card.channels}")
        self._augmentations = [parse(token) for token in self.tokens]
        self._statistics = {
            torch.device("cpu"): (
                torch.tensor(card.mean).view(-1, 1, 1),
                torch.tensor(card.std).view(-1, 1, 1),
            )
        }

    def train(self, raw: Tensor, generator: torch.Generator) -> Tensor:
        """Augmented and normalised, float (B, C, H, W)."""
        for augmentation in self._augmentations:
            raw = augmentation(raw, generator)
        return self.plain(raw)

    def plain(self, raw: Tensor) -> Tensor:
        """Normalised only, float (B, C, H, W)."""
        raw = _centre(raw, self.card.size)
        mean, std = self._statistics_on(raw.device)
        return raw.to(torch.float32, memory_format=torch.channels_last).div_(255).sub_(mean).div_(std)

    def _statistics_on(self, device: torch.device) -> tuple[Tensor, Tensor]:
        if device not in self._statistics:  # kept, so that a batch costs no copy to the device
            mean, std = self._statistics[torch.device("cpu")]
            self._statistics[device] = (mean.to(device), std.to(device))
        return self._statistics[device]


def parse(token: str) -> Augmentation:
    """The augmentation a token names.

    Raises:
        ValueError: for a token that is unknown or has a bad number.
    """
    name, colon, text = token.partition(":")
    if name in _PLAIN and not colon:
        return _PLAIN[name]
    if name not in _NUMBERED:
        raise ValueError(
            f"unknown augmentation {token!r}; known: "
            f"{', '.join([*_PLAIN, *(f'{known}:NUMBER' for known in _NUMBERED)])}"
        )
    make, number, low, high = _NUMBERED[name]
    try:
        value = number(text)
    except ValueError:
        value = -1
    if not low <= value <= high:
        raise ValueError(
            f"augmentation {token!r}: {name} takes {'a whole number' if number is int else 'a number'} in "
            f"{low} … {high}, e.g. {name}:{low or 4}"
        )
    return make(value)


def crop(padding: int) -> Augmentation:
    """Random crop of the original size after zero padding by `padding` pixels on every side."""

    def apply(images: Tensor, generator: torch.Generator) -> Tensor:
        batch, channels, height, width = images.shape
        padded = F.pad(images, (padding,) * 4)
        top, left = torch.randint(2 * padding + 1, (2, batch, 1), generator=generator, device=images.device)
        rows = top + torch.arange(height, device=images.device)  # (B, H)
        columns = left + torch.arange(width, device=images.device)  # (B, W)
        every = torch.arange(batch, device=images.device)[:, None, None, None]
        channel = torch.arange(channels, device=images.device)[:, None, None]
        return padded[every, channel, rows[:, None, :, None], columns[:, None, None, :]]

    return apply


def flip(images: Tensor, generator: torch.Generator) -> Tensor:
    """Mirror each image with probability 1/2."""
    mirrored = torch.rand(len(images), generator=generator, device=images.device) < 0.5
    return torch.where(mirrored[:, None, None, None], images.flip(-1), images)


def brightness(strength: float) -> Augmentation:
    """Multiply each image by a factor uniform in max(0, 1 − strength) … 1 + strength, rounding down."""
    low, high = max(0.0, 1 - strength), 1 + strength

    def apply(images: Tensor, generator: torch.Generator) -> Tensor:
        factor = torch.empty(len(images), 1, 1, 1, device=images.device).uniform_(
            low, high, generator=generator
        )
        return (images * factor).clamp_(0, 255).to(torch.uint8)

    return apply


def cutout(side: int) -> Augmentation:
    """Blacken a square of `side` pixels around a random pixel (DeVries and Taylor 2017)."""

    def apply(images: Tensor, generator: torch.Generator) -> Tensor:
        batch, _, height, width = images.shape
        inside = [
            _around(torch.randint(size, (batch, 1), generator=generator, device=images.device), side, size)
            for size in (height, width)
        ]
        return images.masked_fill((inside[0][:, :, None] & inside[1][:, None, :])[:, None], 0)

    return apply


def _around(centre: Tensor, side: int, size: int) -> Tensor:
    """Which of `size` positions lie in [centre − side/2, centre + side/2), a (B, size) mask."""
    position = torch.arange(size, device=centre.device)
    return (position >= centre - side // 2) & (position < centre + (side + 1) // 2)


_AREA = (0.08, 1.0)
_LOG_RATIO = (math.log(3 / 4), math.log(4 / 3))
_TRIES = 10


def resized_crop(size: int) -> Augmentation:
    """A random part of each image, scaled to `size` × `size` (Szegedy et al. 2015)."""

    def apply(images: Tensor, generator: torch.Generator) -> Tensor:
        height, width = images.shape[-2:]
        boxes = crop_boxes(len(images), height, width, generator, images.device)
        return (scaled_one_by_one if images.device.type == "cpu" else scaled_together)(images, boxes, size)

    return apply


Boxes = tuple[Tensor, Tensor, Tensor, Tensor]
"""Top, left, height and width (B,) of a part of each image."""


def scaled_one_by_one(images: Tensor, boxes: Boxes, size: int) -> Tensor:
    """The parts at `size` × `size`, one image at a time in integers: nearly three times as fast on a CPU."""
    result = images.new_empty((*images.shape[:2], size, size))
    for place, (top, left, high, wide) in enumerate(torch.stack(boxes, dim=1).int().tolist()):
        part = images[place : place + 1, :, top : top + high, left : left + wide]
        result[place] = F.interpolate(part, size=(size, size), mode="bilinear", align_corners=False)[0]
    return result


def scaled_together(images: Tensor, boxes: Boxes, size: int) -> Tensor:
    """The same to within rounding, all at once: for devices on which every call costs."""
    height, width = images.shape[-2:]
    top, left, high, wide = boxes
    steps = (torch.arange(size, device=images.device) + 0.5) / size
    # Pixel centres of the result in the part, kept inside of it, as the sampler counts positions: −1 … 1 over
    # the whole image.
    rows = torch.minimum((steps * high[:, None]).clamp(min=0.5), high[:, None] - 0.5) + top[:, None]
    columns = torch.minimum((steps * wide[:, None]).clamp(min=0.5), wide[:, None] - 0.5) + left[:, None]
    grid = torch.stack(
        torch.broadcast_tensors(columns[:, None, :] * 2 / width - 1, rows[:, :, None] * 2 / height - 1),
        dim=-1,
    )
    return F.grid_sample(images.float(), grid, align_corners=False).round_().clamp_(0, 255).to(torch.uint8)


def crop_boxes(
    batch: int, height: int, width: int, generator: torch.Generator, device: torch.device
) -> Boxes:
    """Top, left, height and width (B,) of random parts.

    The area is uniform in 8 … 100 %, the log of the ratio uniform in ±log 4/3. After ten misfits the part
    is the whole image.
    """

    def uniform(*shape: int, low: float = 0.0, high: float = 1.0) -> Tensor:
        return torch.empty(shape, device=device).uniform_(low, high, generator=generator)

    area = height * width * uniform(batch, _TRIES, low=_AREA[0], high=_AREA[1])
    ratio = uniform(batch, _TRIES, low=_LOG_RATIO[0], high=_LOG_RATIO[1]).exp()
    wide, high = (area * ratio).sqrt().round(), (area / ratio).sqrt().round()
    fits = (wide <= width) & (high <= height)
    first = fits.int().argmax(dim=1, keepdim=True)
    found = fits.any(dim=1)
    high = torch.where(found, high.gather(1, first)[:, 0], torch.full((batch,), float(height), device=device))
    wide = torch.where(found, wide.gather(1, first)[:, 0], torch.full((batch,), float(width), device=device))
    top, left = (uniform(batch) * (height - high + 1)).floor(), (uniform(batch) * (width - wide + 1)).floor()
    return top, left, high, wide


def _centre(images: Tensor, size: int) -> Tensor:
    """The middle `size` × `size` pixels; smaller images as they are."""
    top, left = (max(0, extent - size) // 2 for extent in images.shape[-2:])
    return images[..., top : top + size, left : left + size]


def autoaugment(images: Tensor, generator: torch.Generator) -> Tensor:
    """`cil_core.data.autoaugment`, imported when first needed: it brings all of torchvision with it."""
    from cil_core.data import autoaugment as policy  # noqa: PLC0415

    return policy.autoaugment(images, generator)


_PLAIN: dict[str, Augmentation] = {"flip": flip, "autoaugment": autoaugment}
_NUMBERED: dict[str, tuple[Callable[..., Augmentation], type[int] | type[float], int, int]] = {
    "crop": (crop, int, 1, 64),
    "brightness": (brightness, float, 0, 10),
    "cutout": (cutout, int, 1, 1024),
    "resizedcrop": (resized_crop, int, 4, 1024),
}
