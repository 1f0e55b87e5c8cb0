"""Alarms: one sentence for what no sane dataset has, none for one that is in order."""

from __future__ import annotations

import torch

from cil_core.data.alarms import alarms
from cil_core.data.source import Arrays

MEAN, STD = (0.5,), (0.25,)


def noise(count: int, seed: int) -> torch.Tensor:
    return torch.randint(
        256, (count, 1, 4, 4), dtype=torch.uint8, generator=torch.Generator().manual_seed(seed)
    )


def arrays(train: torch.Tensor, test: torch.Tensor) -> Arrays:
    return Arrays(train, torch.arange(len(train)) % 2, test, torch.arange(len(test)) % 2)


def test_distinct_images_raise_no_alarm() -> None:
    assert alarms(arrays(noise(20, 0), noise(6, 1)), MEAN, STD) == ()


def test_copies_are_counted_within_and_across_splits() -> None:
    train, test = noise(20, 0), noise(6, 1)
    train[4] = train[2] = train[0]  # the same class
    train[5] = train[6]  # another class
    test[0] = test[1] = train[7]
    assert alarms(arrays(train, test), MEAN, STD) == (
        "3 of 20 training images are copies of another training image",
        "1 training images appear under more than one class",
        "1 of 6 test images are copies of another test image",
        "1 test images appear under more than one class",
        "2 of 6 test images are also training images",
    )


def test_identical_images_without_contrast_raise_every_alarm() -> None:
    black, white = (
        torch.zeros((4, 1, 4, 4), dtype=torch.uint8),
        torch.full((4, 1, 4, 4), 255, dtype=torch.uint8),
    )
    assert alarms(arrays(white, black), (1.0,), (0.0,)) == (
        "all 4 training images are identical",
        "all 4 test images are identical",
        "4 of 4 training images have one colour throughout",
        "channel 0 has the mean 1: its training images are black or white",
        "channel 0 has no contrast: its standard deviation is 0",
    )


def test_images_of_one_colour_are_found_among_those_with_equal_corners() -> None:
    train = noise(20, 0)
    train[3] = 7
    train[4, 0, -1, -1] = train[4, 0, 0, 0]
    assert alarms(arrays(train, noise(6, 1)), MEAN, STD) == (
        "1 of 20 training images have one colour throughout",
    )
