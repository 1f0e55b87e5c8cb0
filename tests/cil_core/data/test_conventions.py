"""Inputs of pre-trained weights, against Pillow and torchvision on one image at a time."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from PIL import Image
from scipy import stats
from torch import Tensor
from torchvision.transforms import v2

from cil_core.data.arrays import ArrayDataset
from cil_core.data.augment import Transform
from cil_core.data.photographs import decode_all
from cil_core.data.scaling import crop_boxes
from cil_core.data.streamed import StreamedDataset
from cil_core.spec.catalog import WEIGHTS, DatasetCard
from cil_core.spec.pixels import CODA, HALF, SLCA, UNIT, Pixels, card_pixels

from .conftest import CARD
from .test_whole_photographs import noise

CONVENTIONS = [UNIT, CODA, SLCA, card_pixels(HALF, HALF)]
KERNELS = {"bilinear": v2.InterpolationMode.BILINEAR, "bicubic": v2.InterpolationMode.BICUBIC}
by_name = pytest.mark.parametrize("pixels", CONVENTIONS, ids=lambda pixels: pixels.name)


def prepared(card: DatasetCard, pixels: Pixels) -> DatasetCard:
    weights = WEIGHTS["vit_b16-augreg_in21k"].model_copy(update={"pixels": pixels})
    return weights.prepared(card)


def inputs(image: Image.Image, pixels: Pixels) -> Tensor:
    """What torchvision makes of the image of a test: uint8 to normalised."""
    return normalised(v2.functional.pil_to_tensor(image), pixels)


def normalised(image: Tensor, pixels: Pixels) -> Tensor:
    scaled = v2.functional.to_dtype(image, torch.float32, scale=True)
    return v2.Normalize(pixels.mean, pixels.std)(scaled) if pixels.mean else scaled


def after_testing(image: Image.Image, shorter: int, pixels: Pixels) -> Tensor:
    resized = v2.functional.resize(image, [shorter], interpolation=KERNELS[pixels.kernel])
    return inputs(v2.functional.center_crop(resized, [pixels.size]), pixels)


def dataset(side: int, pixels: Pixels, count: int = 3) -> tuple[list[Image.Image], ArrayDataset]:
    """Square images that are stored at this side."""
    images = [noise(side, side, seed) for seed in range(count)]
    stored = torch.stack([v2.functional.pil_to_tensor(image) for image in images])
    card = CARD.model_copy(update={"size": side})
    return images, ArrayDataset(stored, torch.arange(count), Transform(prepared(card, pixels)))


def assert_as_pillow(found: Tensor, expected: Tensor, pixels: Pixels) -> None:
    assert found.shape == expected.shape
    levels = (found - expected).abs() * torch.tensor(pixels.std or (1.0,)).view(-1, 1, 1) * 255
    assert float(levels.max()) < 2.01
    assert float((levels > 1.01).float().mean()) < 1e-3
    assert float((levels > 0.01).float().mean()) < 0.1


@by_name
@pytest.mark.parametrize("side", [32, 64, 300])
def test_a_square_image_is_tested_as_pillow_scales_it(pixels: Pixels, side: int) -> None:
    images, data = dataset(side, pixels)
    shorter = 224 if pixels is CODA and side < 224 else 248 if pixels.name == "card" else 256
    (batch,) = data.batches(10)
    expected = torch.stack([after_testing(image, shorter, pixels) for image in images])
    assert_as_pillow(batch.x, expected, pixels)


@by_name
def test_a_whole_photograph_is_tested_as_its_file(pixels: Pixels, tmp_path: Path) -> None:
    files = [tmp_path / f"{number}.png" for number in range(3)]
    for number, (file, shape) in enumerate(zip(files, ((400, 300), (260, 500), (333, 333)), strict=True)):
        noise(*shape, number).save(file)
    changes = {"size": 224, "stored": 256, "whole": True, "kernel": "bicubic"}
    card = CARD.model_copy(update=changes)
    kept = decode_all(files, tmp_path / "pixels.npy", card)
    data = ArrayDataset(torch.arange(3), torch.arange(3), Transform(prepared(card, pixels), photographs=kept))
    (batch,) = data.batches(10)
    images = [Image.fromarray(photograph.numpy()) for photograph in kept]
    shorter = 248 if pixels.name == "card" else 256
    assert_as_pillow(
        batch.x, torch.stack([after_testing(image, shorter, pixels) for image in images]), pixels
    )
    if pixels in (UNIT, SLCA):  # their scaling is the one that the photographs are kept with
        straight = torch.stack([after_testing(Image.open(file), 256, pixels) for file in files])
        assert torch.allclose(batch.x, straight, atol=1e-6)


@by_name
@pytest.mark.parametrize("side", [32, 300])
def test_a_training_crop_is_scaled_as_pillow_scales_it(pixels: Pixels, side: int) -> None:
    images, data = dataset(side, pixels.model_copy(update={"flip": 0.0, "brightness": 0.0}))
    order = torch.randperm(3, generator=(generator := torch.Generator().manual_seed(3)))
    extents = torch.full((2, 3), float(side))
    boxes = torch.stack(crop_boxes(*extents, generator, pixels.train_area), dim=1).int().tolist()
    expected = [
        inputs(
            v2.functional.resized_crop(images[number], *box, [224, 224], KERNELS[pixels.train_kernel]),
            pixels,
        )
        for number, box in zip(order.tolist(), boxes, strict=True)
    ]
    (batch,) = data.batches(10, torch.Generator().manual_seed(3), augment=True)
    assert_as_pillow(batch.x, torch.stack(expected), pixels)


def test_the_convention_states_how_often_images_are_mirrored_and_how_bright_they_become() -> None:
    pixels = Pixels(name="own", size=8, resize=8, train_area=(1.0, 1.0), train_ratio=(1.0, 1.0), flip=0.25)
    image = torch.arange(8, dtype=torch.uint8).expand(1, 3, 8, 8)
    card = CARD.model_copy(update={"size": 8})
    generator = torch.Generator().manual_seed(1)
    found = Transform(prepared(card, pixels)).train(image.expand(2000, -1, -1, -1), generator)
    mirrored = int((found[:, 0, 0, 0] > 0).sum())
    assert stats.binomtest(mirrored, 2000, 0.25).pvalue > 1e-4
    bright = pixels.model_copy(update={"flip": 0.0, "brightness": 0.5})
    white = torch.full((500, 3, 8, 8), 100, dtype=torch.uint8)
    factors = Transform(prepared(card, bright)).train(white, generator)[:, 0, 0, 0] * 255 / 100
    assert stats.kstest(factors.numpy(), stats.uniform(0.5, 1.0).cdf, alternative="two-sided").pvalue > 1e-4


@by_name
def test_an_image_alone_equals_itself_in_a_batch_and_in_another_order(pixels: Pixels) -> None:
    _, data = dataset(32, pixels, count=5)
    (together,) = data.batches(10)
    (turned,) = data.select(torch.tensor([4, 2, 0, 1, 3])).batches(10)
    assert torch.equal(turned.x, together.x[[4, 2, 0, 1, 3]])
    for number in range(5):
        (alone,) = data.select(torch.tensor([number])).batches(1)
        assert torch.equal(alone.x[0], together.x[number])


def test_images_in_memory_and_in_files_become_the_same_inputs() -> None:
    _, data = dataset(32, SLCA, count=6)
    streamed = StreamedDataset.from_arrays(data.images, data.labels, data.transform)
    for augment in (False, True):
        one, other = (
            torch.cat(
                [batch.x for batch in each.batches(4, torch.Generator().manual_seed(2), augment=augment)]
            )
            for each in (data, streamed)
        )
        assert torch.equal(one, other)


def test_images_of_one_channel_are_repeated() -> None:
    card = CARD.model_copy(update={"size": 8, "channels": 1, "mean": (0.3,), "std": (0.4,)})
    raw = torch.randint(256, (2, 1, 8, 8), dtype=torch.uint8)
    for pixels in (UNIT, SLCA.model_copy(update={"mean": (0.5,) * 3, "std": (0.5,) * 3})):
        transform = Transform(prepared(card, pixels))
        for found in (transform.plain(raw), transform.train(raw, torch.Generator().manual_seed(0))):
            assert found.shape == (2, 3, 224, 224)
            assert torch.equal(found[:, 0], found[:, 2])


def test_further_augmentations_follow_those_of_the_convention() -> None:
    _, data = dataset(32, UNIT)
    more = data.augmented_by(*data.transform.tokens, "cutout:100")
    (batch,) = more.batches(3, torch.Generator().manual_seed(0), augment=True)
    assert batch.x.shape == (3, 3, 224, 224)
    assert float((batch.x == 0).float().mean()) > 0.05


def test_the_token_of_another_convention_is_refused() -> None:
    with pytest.raises(ValueError, match=r"'pixels:slca' names .* toy is prepared for unit"):
        Transform(prepared(CARD, UNIT), ("pixels:slca",))
    with pytest.raises(ValueError, match="toy is prepared for none"):
        Transform(CARD, ("pixels:unit",))


def test_two_conventions_of_one_file_of_weights_differ_in_their_description() -> None:
    one, other = (Transform(prepared(CARD, pixels)).description for pixels in (UNIT, CODA))
    assert one != other
    assert one == Transform(prepared(CARD, UNIT)).description
