"""Quarter turns as labels."""

from __future__ import annotations

import pytest
import torch

from cil_core.nets.rotation import RotationHead, rotated, rotated_labels


def test_the_batch_is_followed_by_its_three_rotations() -> None:
    images = torch.arange(8.0).reshape(2, 1, 2, 2)
    turned = rotated(images)
    assert turned.shape == (8, 1, 2, 2)
    assert turned[::2].flatten(1).tolist() == [[0, 1, 2, 3], [1, 3, 0, 2], [3, 2, 1, 0], [2, 0, 3, 1]]


def test_four_quarter_turns_are_the_identity() -> None:
    images = torch.rand(3, 2, 5, 5, generator=torch.Generator().manual_seed(0))
    again = images
    for _ in range(4):
        again = rotated(again)[3:6]
    assert torch.equal(again, images)


def test_labels_count_classes_in_fours_and_turns_in_ones() -> None:
    assert rotated_labels(torch.tensor([0, 2])).tolist() == [0, 8, 1, 9, 2, 10, 3, 11]


def test_images_that_are_not_square_are_refused() -> None:
    with pytest.raises(ValueError, match="4 × 6"):
        rotated(torch.zeros(1, 1, 4, 6))


def test_a_class_is_scored_by_its_unrotated_row() -> None:
    head = RotationHead(8)
    head.grow(2, torch.Generator().manual_seed(0))
    head.grow(1, torch.Generator().manual_seed(1))
    features = torch.randn(5, 8, generator=torch.Generator().manual_seed(2))
    assert head.classes == 3
    assert head.joint(features).shape == (5, 12)
    assert torch.equal(
        head(features), torch.stack([head.joint(features)[:, 4 * label] for label in range(3)], dim=1)
    )
