"""CutMix: one box per batch, and labels weighed by area."""

from __future__ import annotations

import pytest
import torch

from cil_core.learning.cutmix import cutmix


def constant_images(count: int) -> torch.Tensor:
    """Each pixel of an image is its number."""
    return torch.arange(count, dtype=torch.float32)[:, None, None, None].expand(-1, 2, 8, 6).contiguous()


@pytest.mark.parametrize("seed", range(8))
def test_the_share_is_that_of_the_pixels_that_an_image_keeps(seed: int) -> None:
    x, labels = constant_images(5), torch.arange(5) * 10
    mixed = cutmix(x, labels, torch.Generator().manual_seed(seed))
    for image, own, pasted in zip(mixed.x, range(5), (mixed.pasted // 10).tolist(), strict=True):
        assert set(image.unique().tolist()) <= {float(own), float(pasted)}
        if own != pasted:
            assert (image == own).float().mean().item() == pytest.approx(mixed.share)


def test_the_pasted_part_is_one_box() -> None:
    mixed = cutmix(constant_images(9), torch.arange(9), torch.Generator().manual_seed(3))
    image = int((mixed.pasted != torch.arange(9)).nonzero()[0])
    changed = mixed.x[image, 0] != image
    assert 0 < changed.sum() < changed.numel()
    rows, columns = changed.any(dim=1), changed.any(dim=0)
    assert torch.equal(changed, rows[:, None] & columns[None, :])


def test_the_batch_itself_stays_unchanged_and_the_seed_decides() -> None:
    x, labels = constant_images(6), torch.arange(6)
    first = cutmix(x, labels, torch.Generator().manual_seed(1))
    again = cutmix(x, labels, torch.Generator().manual_seed(1))
    assert torch.equal(x, constant_images(6))
    assert torch.equal(first.x, again.x)
    assert first.share == again.share


def test_kept_shares_are_spread_over_zero_to_one() -> None:
    """Uniform before the box is cut off at the border, which only raises the share."""
    generator = torch.Generator().manual_seed(0)
    images, labels = torch.zeros(2, 1, 32, 32), torch.arange(2)
    shares = [cutmix(images, labels, generator).share for _ in range(400)]
    assert min(shares) < 0.15
    assert max(shares) == 1
    assert 0.5 < sum(shares) / 400 < 0.8
