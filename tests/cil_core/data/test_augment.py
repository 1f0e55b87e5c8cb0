"""Batched augmentation against torchvision's transforms of one image at a time."""

from collections.abc import Callable

import pytest
import torch
from scipy import stats
from torch import Tensor
from torchvision.transforms import RandomResizedCrop, v2

from cil_core.data.augment import Transform, parse
from cil_core.data.scaling import crop_boxes
from cil_core.spec.catalog import DATASETS, DatasetCard

from .conftest import CARD

DRAWS = 4000
SIGNIFICANCE = 1e-4
"""Seeds are fixed, so a test always or never passes; a wrong distribution has far smaller p values."""


def batched(token: str, image: Tensor, draws: int = DRAWS, seed: int = 1) -> Tensor:
    """`draws` augmentations of one image by our own batched code."""
    return parse(token)(image.expand(draws, *image.shape).contiguous(), torch.Generator().manual_seed(seed))


def one_by_one(transform: Callable[[Tensor], Tensor], image: Tensor, draws: int = DRAWS) -> Tensor:
    """`draws` augmentations of one image by torchvision."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(2)
        return torch.stack([transform(image) for _ in range(draws)])


def picture(channels: int = 3, size: int = 8, seed: int = 0) -> Tensor:
    return torch.randint(
        1, 256, (channels, size, size), generator=torch.Generator().manual_seed(seed), dtype=torch.uint8
    )


def same_frequencies(ours: Tensor, theirs: Tensor) -> float:
    """p-value of the hypothesis that both draw the same images equally often; rare images are pooled."""
    values, kind = torch.unique(torch.cat([ours, theirs]).flatten(1), dim=0, return_inverse=True)
    counts = torch.stack([torch.bincount(part, minlength=len(values)) for part in kind.split(len(ours))])
    frequent = counts.sum(dim=0) >= 10
    pooled = torch.cat([counts[:, frequent], counts[:, ~frequent].sum(dim=1, keepdim=True)], dim=1)
    return float(stats.chi2_contingency(pooled[:, pooled.sum(dim=0) > 0].numpy()).pvalue)


def test_crops_are_the_ones_of_torchvision_equally_often() -> None:
    ours, theirs = batched("crop:2", picture()), one_by_one(v2.RandomCrop(8, padding=2), picture())
    assert len(torch.unique(ours.flatten(1), dim=0)) == 25
    assert same_frequencies(ours, theirs) > SIGNIFICANCE


def test_every_image_of_a_batch_is_cropped_at_its_own_place() -> None:
    images = torch.stack([picture(seed=seed) for seed in range(20)])
    cropped = parse("crop:2")(images, torch.Generator().manual_seed(3))
    padded = torch.nn.functional.pad(images, (2, 2, 2, 2))
    places = []
    for image, result in zip(padded, cropped, strict=True):
        found = [
            (top, left)
            for top in range(5)
            for left in range(5)
            if torch.equal(image[:, top : top + 8, left : left + 8], result)
        ]
        assert len(found) == 1
        places.extend(found)
    assert len(set(places)) > 5


def test_half_of_the_images_are_mirrored() -> None:
    image = picture()
    ours = batched("flip", image)
    mirrored = (ours == image.flip(-1)).flatten(1).all(dim=1)
    kept = (ours == image).flatten(1).all(dim=1)
    assert bool((mirrored ^ kept).all())
    assert stats.binomtest(int(mirrored.sum()), DRAWS, 0.5).pvalue > SIGNIFICANCE


@pytest.mark.parametrize("strength", [0.24705882352941178, 1.5])
def test_brightness_is_distributed_as_torchvisions_colour_jitter(strength: float) -> None:
    image = picture()
    ours, theirs = (
        batched(f"brightness:{strength}", image),
        one_by_one(v2.ColorJitter(brightness=strength), image),
    )
    assert (
        stats.ks_2samp(
            ours.float().mean(dim=(1, 2, 3)).numpy(), theirs.float().mean(dim=(1, 2, 3)).numpy()
        ).pvalue
        > SIGNIFICANCE
    )
    assert ours.float().mean(dim=(1, 2, 3)).std() > 5  # each image of the batch draws its own factor


def test_a_factor_scales_all_pixels_of_an_image_alike() -> None:
    image = torch.full((1, 8, 8), 100, dtype=torch.uint8)
    ours = batched("brightness:0.5", image).flatten(1)
    assert bool((ours == ours[:, :1]).all())
    assert ours.min() >= 50
    assert ours.max() <= 150


def cutout_of_one(image: Tensor, side: int) -> Tensor:
    """DeVries and Taylor's cutout of one image, as its authors describe it."""
    height, width = image.shape[-2:]
    y, x = int(torch.randint(height, ())), int(torch.randint(width, ()))
    image = image.clone()
    image[:, max(0, y - side // 2) : y + side // 2, max(0, x - side // 2) : x + side // 2] = 0
    return image


def test_cutout_blackens_the_squares_of_the_paper_equally_often() -> None:
    image = picture()
    assert (
        same_frequencies(batched("cutout:4", image), one_by_one(lambda one: cutout_of_one(one, 4), image))
        > SIGNIFICANCE
    )


def test_an_odd_cutout_in_the_middle_has_its_full_side() -> None:
    ours = batched("cutout:3", picture())
    assert int((ours[:, 0] == 0).flatten(1).sum(dim=1).max()) == 9


def test_a_batch_is_prepared_in_the_order_of_the_tokens() -> None:
    card = CARD.model_copy(update={"augment": ("flip", "crop:2")})
    raw = torch.stack([picture(seed=seed) for seed in range(10)])
    generator = torch.Generator().manual_seed(4)
    expected = parse("crop:2")(parse("flip")(raw, generator), generator)
    assert torch.equal(
        Transform(card).train(raw, torch.Generator().manual_seed(4)), Transform(card).plain(expected)
    )


def test_normalisation_equals_torchvisions() -> None:
    raw = torch.stack([picture(seed=seed) for seed in range(4)])
    expected = v2.Normalize(CARD.mean, CARD.std)(v2.ToDtype(torch.float32, scale=True)(raw))
    assert torch.allclose(Transform(CARD).plain(raw), expected, atol=1e-6)


def test_augmentation_leaves_the_stored_images_as_they_were() -> None:
    raw = torch.stack([picture(seed=seed) for seed in range(16)])
    before = raw.clone()
    transform = Transform(CARD, ("crop:2", "flip", "brightness:0.5", "autoaugment", "cutout:4"))
    assert transform.train(raw, torch.Generator().manual_seed(0)).shape == raw.shape
    assert torch.equal(raw, before)


OF_ONE_SIZE = [card for card in DATASETS.values() if (card.stored or card.size) >= card.size]


@pytest.mark.parametrize("card", OF_ONE_SIZE, ids=lambda card: card.name)
def test_the_transform_of_every_card_gives_the_shape_the_network_sees(card: DatasetCard) -> None:
    raw = torch.zeros(2, *card.shape, dtype=torch.uint8)
    for prepared in (
        Transform(card).train(raw, torch.Generator().manual_seed(0)),
        Transform(card).plain(raw),
    ):
        assert prepared.shape == (2, card.channels, card.size, card.size)
        assert bool(prepared.isfinite().all())


@pytest.mark.parametrize("extent", [(40, 30), (20, 200), (200, 20)])
def test_random_parts_have_torchvisions_sizes_and_places_equally_often(extent: tuple[int, int]) -> None:
    height, width = (torch.full((20_000,), float(side)) for side in extent)
    ours = torch.stack(crop_boxes(height, width, torch.Generator().manual_seed(1))).T
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(2)
        drawn = [
            RandomResizedCrop.get_params(torch.zeros(3, *extent), [0.08, 1.0], [3 / 4, 4 / 3])
            for _ in range(20_000)
        ]
    theirs = torch.tensor(drawn, dtype=torch.float)
    for column in range(4):
        assert stats.ks_2samp(ours[:, column].numpy(), theirs[:, column].numpy()).pvalue > SIGNIFICANCE
    area, others = (boxes[:, 2] * boxes[:, 3] for boxes in (ours, theirs))
    assert stats.ks_2samp(area.numpy(), others.numpy()).pvalue > SIGNIFICANCE


def test_a_random_part_is_scaled_as_torchvision_scales_it() -> None:
    images = torch.stack([picture(3, 40, seed) for seed in range(30)])
    boxes = crop_boxes(*torch.full((2, 30), 40.0), torch.Generator().manual_seed(5))
    expected = [
        v2.functional.resized_crop(image, *box, size=[20, 20])
        for image, box in zip(images, torch.stack(boxes).T.int().tolist(), strict=True)
    ]
    found = parse("resizedcrop:20")(images, torch.Generator().manual_seed(5))
    assert found.shape == (30, 3, 20, 20)
    assert int((found.int() - torch.stack(expected).int()).abs().max()) <= 1


@pytest.mark.parametrize(
    ("token", "says"),
    [
        ("rotate:3", "unknown augmentation 'rotate:3'; known: flip, autoaugment, crop:NUMBER"),
        ("flip:2", "unknown augmentation"),
        ("crop", "takes a whole number"),
        ("crop:2.5", "takes a whole number"),
        ("crop:0", "1 … 64"),
        ("crop:-1", "1 … 64"),
        ("brightness:nan", "0 … 10"),
        ("brightness:-0.5", "takes a number"),
        ("cutout:", "takes a whole number"),
    ],
)
def test_a_bad_token_is_refused_with_what_is_allowed(token: str, says: str) -> None:
    with pytest.raises(ValueError, match=says):
        parse(token)


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"mean": (0.5,)}, "3 channel"),
        ({"std": (0.0, 1.0, 1.0)}, "positive deviations"),
        ({"channels": 2, "mean": (0.5,) * 2, "std": (0.5,) * 2}, "autoaugment"),
    ],
)
def test_a_card_that_cannot_be_normalised_is_refused(changes: dict[str, object], says: str) -> None:
    with pytest.raises(ValueError, match=says):
        Transform(CARD.model_copy(update={"augment": ("autoaugment",), **changes}))
