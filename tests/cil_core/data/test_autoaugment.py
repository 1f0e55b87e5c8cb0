"""AutoAugment against torchvision's and Pillow's, which transform one image at a time."""

from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torchvision.transforms import AutoAugmentPolicy, v2

from cil_core.data.autoaugment import OPERATIONS, POLICY, SIGNED, apply, autoaugment

from .test_augment import SIGNIFICANCE, one_by_one, picture, same_frequencies


def sheared(image: torch.Tensor, slope: float) -> torch.Tensor:
    """Pillow's bicubic shear of a (C, H, W) image, filled with grey."""
    channels = [
        np.asarray(
            Image.fromarray(channel.numpy()).transform(
                channel.shape[::-1],
                Image.Transform.AFFINE,
                (1, 0, 0, slope, 1, 0),
                Image.Resampling.BICUBIC,
                fillcolor=128,
            )
        )
        for channel in image
    ]
    return torch.from_numpy(np.stack(channels))


class OneByOne(v2.AutoAugment):
    """torchvision's, with the fill and the shear of the codes that cite the policy."""

    def __init__(self) -> None:
        super().__init__(AutoAugmentPolicy.CIFAR10, fill=128)

    def _apply_image_or_video_transform(
        self, image: Any, name: str, magnitude: float, interpolation: Any, fill: Any
    ) -> Any:
        if name == "ShearY":
            return sheared(image, magnitude)
        return super()._apply_image_or_video_transform(image, name, magnitude, interpolation, fill)


THEIRS = OneByOne()
NAMES = {
    "ShearY": "shear_y",
    "TranslateX": "translate_x",
    "TranslateY": "translate_y",
    "Rotate": "rotate",
    "Brightness": "brightness",
    "Color": "color",
    "Contrast": "contrast",
    "Sharpness": "sharpness",
    "Posterize": "posterize",
    "Solarize": "solarize",
    "AutoContrast": "autocontrast",
    "Equalize": "equalize",
    "Invert": "invert",
}
IMAGES = torch.stack([picture(size=32, seed=seed) for seed in range(6)])


def test_the_policy_is_the_published_one() -> None:
    assert [
        [(NAMES[name], chance, level or 0) for name, chance, level in pair] for pair in THEIRS._policies
    ] == [list(pair) for pair in POLICY]


@pytest.mark.parametrize(("theirs", "ours"), NAMES.items())
@pytest.mark.parametrize("level", [0, 3, 7, 9])
@pytest.mark.parametrize("sign", [-1, 1])
def test_an_operation_on_a_batch_equals_torchvisions_on_each_image(
    theirs: str, ours: str, level: int, sign: int
) -> None:
    if sign < 0 and ours not in SIGNED:
        sign = 1
    magnitudes, signed = THEIRS._AUGMENTATION_SPACE[theirs]
    assert signed == (ours in SIGNED)
    values = magnitudes(10, 32, 32)
    magnitude = 0.0 if values is None else float(values[level]) * sign
    expected = torch.stack(
        [
            THEIRS._apply_image_or_video_transform(
                image, theirs, magnitude, v2.InterpolationMode.NEAREST, THEIRS._fill
            )
            for image in IMAGES
        ]
    )
    assert torch.equal(apply(ours, IMAGES, level, sign), expected)


def test_every_operation_of_the_policy_exists() -> None:
    assert {name for pair in POLICY for name, _, _ in pair} == set(OPERATIONS) == set(NAMES.values())


def test_results_are_drawn_as_often_as_by_torchvision() -> None:
    image = picture(size=8)
    ours = autoaugment(image.expand(4000, *image.shape).contiguous(), torch.Generator().manual_seed(1))
    assert same_frequencies(ours, one_by_one(THEIRS, image)) > SIGNIFICANCE


def test_a_grey_image_stays_grey() -> None:
    image = picture(channels=1)
    assert autoaugment(
        image.expand(50, *image.shape).contiguous(), torch.Generator().manual_seed(1)
    ).shape == (50, 1, 8, 8)


def test_the_frequency_test_notices_a_policy_that_is_slightly_wrong() -> None:
    image = picture(size=8)
    ours = autoaugment(image.expand(4000, *image.shape).contiguous(), torch.Generator().manual_seed(1))
    wrong = torch.where(
        torch.rand(4000, 1, 1, 1, generator=torch.Generator().manual_seed(5)) < 0.2, image, ours
    )
    assert same_frequencies(wrong, one_by_one(THEIRS, image)) < SIGNIFICANCE
