"""`Transform`: turns raw pixels into network inputs, with batched tensor code and a given generator.

A dataset's card lists its training augmentations as tokens, applied in order:

    crop:P          random crop after zero padding by P pixels
    brightness:B    factor uniform in max(0, 1 − B) … 1 + B
    flip            mirror with probability 1/2
    cutout:S        blacken a square of side S around a random pixel
    autoaugment     the CIFAR-10 policy of Cubuk et al.
    resizedcrop:S   a random part of 8 to 100 % of the area, scaled to S × S
    pixels:NAME     random part, mirroring and brightness of a convention for pre-trained weights

Decisions:
    * An augmentation maps uint8 (B, C, H, W) to uint8 and treats each image independently, with the
      distributions and the rounding of torchvision's transforms of one image. Only `resizedcrop` changes the
      size; it scales bilinearly with antialiasing, and takes whole photographs of any size.
    * Normalisation comes last. Evaluation does nothing else, except that photographs are cropped around the
      centre; training does the same before any augmentation but `resizedcrop`.
    * A card that is prepared for pre-trained weights (`Pixels`) replaces size, augmentation and normalisation
      by theirs. Images of one channel are repeated last.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from cil_core.data.photographs import Photographs
from cil_core.data.scaling import (
    AREA,
    BILINEAR,
    RATIO,
    Images,
    Kernel,
    central,
    crop_boxes,
    extents,
    random_parts,
)
from cil_core.spec.catalog import DatasetCard

Augmentation = Callable[[Any, torch.Generator], Tensor]
"""(uint8 (B, C, H, W), generator) → uint8 (B, C, H, W); `RandomParts` also takes images of several sizes."""


class Transform:
    """Prepares images of one dataset.

    Args:
        card: states normalisation and augmentation.
        augment: tokens to use instead of the card's.
        photographs: what numbers refer to, for a dataset of photographs.

    Raises:
        ValueError: for a token that is unknown or has a bad number, or a card that does not normalise each of
            its channels.
    """

    def __init__(
        self,
        card: DatasetCard,
        augment: tuple[str, ...] | None = None,
        *,
        photographs: Photographs | None = None,
    ) -> None:
        mean, std = statistics(card)
        self.card = card
        self.photographs = photographs
        self.tokens = default_tokens(card) if augment is None else augment
        if "autoaugment" in self.tokens and card.channels not in (1, 3):
            raise ValueError(f"autoaugment is defined for 1 or 3 channels, not {card.channels}")
        self._augmentations = [
            augmentation for token in self.tokens for augmentation in _augmentations(token, card)
        ]
        self._statistics = {
            torch.device("cpu"): (torch.tensor(mean).view(-1, 1, 1), torch.tensor(std).view(-1, 1, 1))
        }

    @property
    def description(self) -> list[Any]:
        """What tells two preparations of one dataset apart, as JSON."""
        pixels = self.card.pixels
        return [*self.tokens, *([] if pixels is None else [pixels.model_dump(mode="json")])]

    def with_tokens(self, tokens: tuple[str, ...]) -> Transform:
        """The same preparation with other training augmentations."""
        return Transform(self.card, tokens, photographs=self.photographs)

    def train(self, raw: Images, generator: torch.Generator) -> Tensor:
        """Augmented and normalised, float (B, C, H, W).

        Args:
            raw: images, or numbers of photographs, int64 (B,).
            generator: of the augmentations.
        """
        loaded = self._loaded(raw)
        first, *others = self._augmentations or [_unchanged]
        images = first(loaded if isinstance(first, RandomParts) else self._central(loaded), generator)
        for augmentation in others:
            images = augmentation(images, generator)
        return self._normalised(images if self.card.pixels else central(images, self.card.size))

    def plain(self, raw: Images) -> Tensor:
        """As testing sees the images: not augmented, float (B, C, H, W); `raw` as for `train`."""
        return self._normalised(self._central(self._loaded(raw)))

    def empty(self, device: torch.device) -> Tensor:
        """No images, as a dataset stores them: uint8 (0, C, H, W), or numbers int64 (0,)."""
        if self.photographs is not None:
            return torch.zeros(0, dtype=torch.long, device=device)
        return torch.zeros((0, *self.card.shape), dtype=torch.uint8, device=device)

    def mirrored(self, raw: Tensor) -> Tensor:
        """The mirror images of what a dataset stores."""
        return raw.flip(-1) if self.photographs is None else -1 - raw

    def _loaded(self, raw: Images) -> Images:
        if self.photographs is None or not isinstance(raw, Tensor):
            return raw
        return self.photographs.read(raw, raw.device)

    def _central(self, images: Images) -> Tensor:
        """What testing sees of each image, before it is normalised."""
        pixels = self.card.pixels
        if pixels is None:
            return central(images, self.card.size)
        shorter = pixels.shorter_side(self.card.stored or self.card.size)
        return central(images, pixels.size, shorter, Kernel(pixels.kernel, pixels.antialias))

    def _normalised(self, images: Tensor) -> Tensor:
        mean, std = self._statistics_on(images.device)
        channels = self.card.input_channels or images.shape[1]
        images = images if images.shape[1] == channels else images.expand(-1, channels, -1, -1)
        return images.to(torch.float32, memory_format=torch.channels_last).div_(255).sub_(mean).div_(std)

    def _statistics_on(self, device: torch.device) -> tuple[Tensor, Tensor]:
        if device not in self._statistics:  # kept, so that a batch costs no copy to the device
            mean, std = self._statistics[torch.device("cpu")]
            self._statistics[device] = (mean.to(device), std.to(device))
        return self._statistics[device]


def statistics(card: DatasetCard) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Mean and standard deviation per channel that the network's inputs are normalised with.

    Raises:
        ValueError: the card does not normalise each of its channels.
    """
    if card.pixels is not None:
        return card.pixels.mean or (0.0,), card.pixels.std or (1.0,)
    if not len(card.mean) == len(card.std) == card.channels or min(card.std) <= 0:
        raise ValueError(
            f"{card.channels} channel(s) need as many means and positive deviations, not {card.mean} and "
            f"{card.std}"
        )
    return card.mean, card.std


def default_tokens(card: DatasetCard) -> tuple[str, ...]:
    """The training augmentations of a card: its own, or those of the weights that it is prepared for."""
    return card.augment if card.pixels is None else (f"{_PIXELS}{card.pixels.name}",)


def _augmentations(token: str, card: DatasetCard) -> list[Augmentation]:
    """What a token does to images of a card."""
    pixels = card.pixels
    if not token.startswith(_PIXELS):
        return [parse(token)]
    if pixels is None or token != f"{_PIXELS}{pixels.name}":
        raise ValueError(
            f"{token!r} names the convention of pre-trained weights; {card.name} is prepared for "
            f"{'none' if pixels is None else pixels.name}"
        )
    kernel = Kernel(pixels.train_kernel, pixels.antialias)
    found: list[Augmentation] = [RandomParts(pixels.size, pixels.train_area, pixels.train_ratio, kernel)]
    if pixels.flip:
        found.append(mirrored_with(pixels.flip))
    if pixels.brightness:
        found.append(brightness(pixels.brightness))
    return found


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


def _unchanged(images: Tensor, generator: torch.Generator) -> Tensor:  # noqa: ARG001 - an augmentation
    return images


def mirrored_with(probability: float) -> Augmentation:
    """Mirror each image with this probability."""

    def apply(images: Tensor, generator: torch.Generator) -> Tensor:
        mirrored = torch.rand(len(images), generator=generator, device=images.device) < probability
        return torch.where(mirrored[:, None, None, None], images.flip(-1), images)

    return apply


def flip(images: Tensor, generator: torch.Generator) -> Tensor:
    """Mirror each image with probability 1/2."""
    return mirrored_with(0.5)(images, generator)


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


def resized_crop(size: int) -> Augmentation:
    """A random part of each image, scaled to `size` × `size` (Szegedy et al. 2015)."""
    return RandomParts(size)


@dataclass(frozen=True, slots=True)
class RandomParts:
    """Scales a random part of each image, which may have any size, to `size` × `size`."""

    size: int
    area: tuple[float, float] = AREA
    ratio: tuple[float, float] = RATIO
    kernel: Kernel = BILINEAR

    def __call__(self, images: Images, generator: torch.Generator) -> Tensor:
        """The parts, uint8 (B, C, size, size)."""
        boxes = crop_boxes(*extents(images), generator, self.area, self.ratio)
        return random_parts(images, boxes, self.size, self.kernel)


def autoaugment(images: Tensor, generator: torch.Generator) -> Tensor:
    """`cil_core.data.autoaugment`, imported when first needed: it brings all of torchvision with it."""
    from cil_core.data import autoaugment as policy  # noqa: PLC0415

    return policy.autoaugment(images, generator)


_PIXELS = "pixels:"
_PLAIN: dict[str, Augmentation] = {"flip": flip, "autoaugment": autoaugment}
_NUMBERED: dict[str, tuple[Callable[..., Augmentation], type[int] | type[float], int, int]] = {
    "crop": (crop, int, 1, 64),
    "brightness": (brightness, float, 0, 10),
    "cutout": (cutout, int, 1, 1024),
    "resizedcrop": (resized_crop, int, 4, 1024),
}
