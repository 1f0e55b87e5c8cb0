"""`Pixels`: how images of any stored size become inputs of a pre-trained network. Torch-free.

Published weights fix their inputs: a weights card carries one of these values, and a track gets it from its
weights.

Decisions:
    * A convention is a value, not code: two runs saw equal pixels if and only if their values are equal.
    * Images of one channel are repeated for a network of three.
    * Many papers feed pixels in [0, 1] to weights that were trained on normalised ones. `UNIT` reproduces
      them; `mean` and `std` of None mean no normalisation.
"""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from cil_core.spec.base import Frozen

Kernel = Literal["bilinear", "bicubic"]


class Pixels(Frozen):
    """Preparation of images for one file of weights."""

    name: str = Field(description="Of the convention: unit, coda, slca, card, or an operator's own.")
    size: int = Field(default=224, ge=4, le=1024, description="Height and width that the network sees.")
    resize: int = Field(
        default=256, ge=4, le=2048, description="Test images: the shorter side before the central crop."
    )
    enlarge: int | None = Field(
        default=None,
        ge=4,
        le=2048,
        description="The shorter side for images that are stored smaller than `size`; None uses `resize`.",
    )
    kernel: Kernel = Field(default="bicubic", description="Of the test images' resize.")
    antialias: bool = Field(default=True, description="Whether shrinking averages over all pixels.")
    train_area: tuple[float, float] = Field(
        default=(0.05, 1.0), description="Share of the image that a random training crop covers."
    )
    train_ratio: tuple[float, float] = Field(
        default=(3 / 4, 4 / 3), description="Ratio of width to height of a random training crop."
    )
    train_kernel: Kernel = Field(default="bilinear", description="Of the training crop's resize.")
    flip: float = Field(default=0.5, ge=0, le=1, description="Probability that a training image is mirrored.")
    brightness: float = Field(
        default=0.0, ge=0, le=10, description="Training images: factor in max(0, 1 − b) … 1 + b."
    )
    mean: tuple[float, ...] | None = Field(
        default=None, description="Per channel, of pixels in [0, 1]; None leaves them in [0, 1]."
    )
    std: tuple[float, ...] | None = None

    def shorter_side(self, stored: int) -> int:
        """Shorter side before the central crop, for test images that are stored with this one."""
        return self.enlarge if self.enlarge is not None and stored < self.size else self.resize

    @model_validator(mode="after")
    def _is_complete(self) -> Pixels:
        if (self.mean is None) != (self.std is None):
            raise ValueError("mean and std are both stated or both left out")
        if self.std is not None and (min(self.std) <= 0 or len(self.std) != len(self.mean or ())):
            raise ValueError(f"std needs one positive number per mean, not {self.std}")
        if min(self.resize, self.enlarge or self.resize) < self.size:
            raise ValueError(f"test images are cropped to {self.size} pixels, more than their resize leaves")
        for name, (low, high) in (("train_area", self.train_area), ("train_ratio", self.train_ratio)):
            if not 0 < low <= high:
                raise ValueError(f"{name} is a range of positive numbers, not {low} … {high}")
        if self.train_area[1] > 1:
            raise ValueError(f"train_area ends at 1 at most, not {self.train_area[1]}")
        return self


IMAGENET_MEAN, IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
CLIP_MEAN, CLIP_STD = (0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)
HALF = (0.5, 0.5, 0.5)

UNIT = Pixels(name="unit")
"""PILOT, RevisitingCIL, EASE, MOS and the ports of L2P: [0, 1], 256 then 224, also for 32-pixel images."""

CODA = Pixels(name="coda", enlarge=224, kernel="bilinear", train_area=(0.08, 1.0))
"""CODA-Prompt and InfLoRA: [0, 1]; small images are resized to 224 directly."""

SLCA = Pixels(
    name="slca",
    train_area=(0.08, 1.0),
    train_kernel="bicubic",
    brightness=63 / 255,
    mean=IMAGENET_MEAN,
    std=IMAGENET_STD,
)
"""SLCA and SLCA++: ImageNet's mean and deviation, and brightness jitter."""


def card_pixels(
    mean: tuple[float, ...], std: tuple[float, ...], crop: float = 0.9, *, size: int = 224
) -> Pixels:
    """What the authors of the weights state: their normalisation and their central crop.

    Args:
        mean: per channel.
        std: per channel.
        crop: share of the shorter side that the crop keeps.
        size: of the network's input.
    """
    return Pixels(
        name="card",
        size=size,
        resize=int(size / crop),
        train_area=(0.08, 1.0),
        train_kernel="bicubic",
        mean=mean,
        std=std,
    )
