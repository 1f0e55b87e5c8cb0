"""AutoAugment with the authors' policy for CIFAR-10 (Cubuk et al., CVPR 2019), for a whole batch at once.

Each image draws one of 25 sub-policies: two operations, each applied with its own probability, some with a
random sign. Images that draw the same operation are transformed together. Magnitudes are torchvision's. As in
the code of the methods that cite the policy (PyCIL, PODNet), empty pixels are grey (128), shearing is bicubic
as Pillow's, and translation and rotation take the nearest pixel.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable

import torch
from torch import Tensor
from torchvision.transforms.v2 import functional as F

Operation = tuple[str, float, int]
"""Name, probability, level 0 … 9 of its magnitude."""

LEVELS = 9
FURTHEST = 150 / 331
"""Largest translation as a share of the side: 150 pixels of the 331 of the policy's original ImageNet images.
"""

FILL = 128
"""Value of pixels that come from outside the image."""

STRENGTHS: list[float] = torch.linspace(0, 0.9, LEVELS + 1).tolist()
"""Of an adjustment, by level; in torchvision's single precision, so that pixels round alike."""

SLOPES: list[float] = torch.linspace(0, 0.3, LEVELS + 1).tolist()
"""Of shearing, by level, likewise."""

POLICY: tuple[tuple[Operation, Operation], ...] = (
    (("invert", 0.1, 0), ("contrast", 0.2, 6)),
    (("rotate", 0.7, 2), ("translate_x", 0.3, 9)),
    (("sharpness", 0.8, 1), ("sharpness", 0.9, 3)),
    (("shear_y", 0.5, 8), ("translate_y", 0.7, 9)),
    (("autocontrast", 0.5, 0), ("equalize", 0.9, 0)),
    (("shear_y", 0.2, 7), ("posterize", 0.3, 7)),
    (("color", 0.4, 3), ("brightness", 0.6, 7)),
    (("sharpness", 0.3, 9), ("brightness", 0.7, 9)),
    (("equalize", 0.6, 0), ("equalize", 0.5, 0)),
    (("contrast", 0.6, 7), ("sharpness", 0.6, 5)),
    (("color", 0.7, 7), ("translate_x", 0.5, 8)),
    (("equalize", 0.3, 0), ("autocontrast", 0.4, 0)),
    (("translate_y", 0.4, 3), ("sharpness", 0.2, 6)),
    (("brightness", 0.9, 6), ("color", 0.2, 8)),
    (("solarize", 0.5, 2), ("invert", 0.0, 0)),
    (("equalize", 0.2, 0), ("autocontrast", 0.6, 0)),
    (("equalize", 0.2, 0), ("equalize", 0.6, 0)),
    (("color", 0.9, 9), ("equalize", 0.6, 0)),
    (("autocontrast", 0.8, 0), ("solarize", 0.2, 8)),
    (("brightness", 0.1, 3), ("color", 0.7, 0)),
    (("solarize", 0.4, 5), ("autocontrast", 0.9, 0)),
    (("translate_y", 0.9, 9), ("translate_y", 0.7, 9)),
    (("autocontrast", 0.9, 0), ("solarize", 0.8, 3)),
    (("equalize", 0.8, 0), ("invert", 0.1, 0)),
    (("translate_y", 0.7, 9), ("autocontrast", 0.9, 0)),
)

SIGNED = frozenset(
    {"shear_y", "translate_x", "translate_y", "rotate", "brightness", "color", "contrast", "sharpness"}
)
"""Operations whose magnitude is negated for half of the images."""


def autoaugment(images: Tensor, generator: torch.Generator) -> Tensor:
    """Apply a random sub-policy to each image.

    Args:
        images: uint8 (B, C, H, W) with 1 or 3 channels.
        generator: on the device of the images.
    """
    draws = torch.rand(
        len(images), 5, generator=generator, device=images.device
    ).tolist()  # sub-policy, two chances, two signs
    images = images.clone()
    for step in (0, 1):
        for (name, level, sign), members in _groups(draws, step).items():
            index = torch.tensor(members, device=images.device)
            images[index] = apply(name, images[index], level, sign)
    return images


def _groups(draws: list[list[float]], step: int) -> dict[tuple[str, int, int], list[int]]:
    """Which images undergo which (operation, level, sign) in this step."""
    groups: dict[tuple[str, int, int], list[int]] = defaultdict(list)
    for image, draw in enumerate(draws):
        name, probability, level = POLICY[int(draw[0] * len(POLICY))][step]
        if draw[1 + step] < probability:
            groups[name, level, -1 if name in SIGNED and draw[3 + step] < 0.5 else 1].append(image)
    return groups


def apply(name: str, images: Tensor, level: int, sign: int) -> Tensor:
    """One operation on uint8 images (B, C, H, W) at `level` 0 … 9, with sign −1 or 1."""
    return OPERATIONS[name](images, sign * level / LEVELS)


def _shear_y(images: Tensor, share: float) -> Tensor:
    """Shift each column by its position times a slope.

    Columns stay whole, so the interpolation runs along them alone.
    """
    height, width = images.shape[-2:]
    slope, device = math.copysign(SLOPES[round(abs(share) * LEVELS)], share), images.device
    rows = torch.arange(height, dtype=torch.float64, device=device)[:, None] + 0.5
    columns = torch.arange(width, dtype=torch.float64, device=device) + 0.5
    source = rows + slope * columns  # (H, W), where a pixel comes from
    first = (source - 0.5).floor()
    part = source - 0.5 - first
    before, here, after, further = (
        images.gather(-2, (first.long() + step).clamp(0, height - 1).expand(images.shape)).double()
        for step in (-1, 0, 1, 2)
    )
    # Pillow's cubic, whose free parameter is -1.
    quadratic, cubic = 2 * (before - here) + after - further, here - before + further - after
    sheared = here + part * (after - before + part * (quadratic + part * cubic))
    inside = (source >= 0) & (source < height)
    return torch.where(inside, sheared.clamp(0, 255).to(torch.uint8), FILL)


def _translate(images: Tensor, right: float, down: float) -> Tensor:
    """Move by a share of the sides, in whole pixels."""
    height, width = images.shape[-2:]
    moved: Tensor = F.affine(
        images,
        angle=0,
        translate=[int(width * right), int(height * down)],
        scale=1,
        shear=[0, 0],
        fill=[FILL],
    )
    return moved


def _factor(share: float) -> float:
    """Strength 0.1 … 1.9 of an adjustment."""
    return 1 + math.copysign(STRENGTHS[round(abs(share) * LEVELS)], share)


OPERATIONS: dict[str, Callable[[Tensor, float], Tensor]] = {
    "shear_y": _shear_y,
    "translate_x": lambda images, share: _translate(images, FURTHEST * share, 0),
    "translate_y": lambda images, share: _translate(images, 0, FURTHEST * share),
    "rotate": lambda images, share: F.rotate(images, angle=30 * share, fill=[FILL]),
    "brightness": lambda images, share: F.adjust_brightness(images, _factor(share)),
    "color": lambda images, share: F.adjust_saturation(images, _factor(share)),
    "contrast": lambda images, share: F.adjust_contrast(images, _factor(share)),
    "sharpness": lambda images, share: F.adjust_sharpness(images, _factor(share)),
    "posterize": lambda images, share: F.posterize(images, bits=round(8 - 4 * share)),
    "solarize": lambda images, share: F.solarize(images, threshold=255 * (1 - share)),
    "autocontrast": lambda images, _: F.autocontrast(images),
    "equalize": lambda images, _: F.equalize(images),
    "invert": lambda images, _: F.invert(images),
}
"""(images, level as a signed share of the largest) → images."""
