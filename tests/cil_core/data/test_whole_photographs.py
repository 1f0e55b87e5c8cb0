"""Photographs that are kept whole, against torchvision on the files themselves."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor
from torchvision.transforms import v2

from cil_core.data.arrays import ArrayDataset
from cil_core.data.augment import Transform
from cil_core.data.photographs import PIECE, Photographs, decode_all
from cil_core.data.scaling import crop_boxes
from cil_core.learning.memory import Memory
from cil_core.spec.errors import DataError

from .conftest import CARD

SHAPES = ((30, 20), (24, 24), (20, 50), (90, 40), (16, 16), (17, 33))
"""Height and width of the files."""
WHOLE = CARD.model_copy(update={"size": 12, "stored": 16, "whole": True, "augment": ("resizedcrop:12",)})


def noise(height: int, width: int, seed: int) -> Image.Image:
    """A smooth picture with noise on it."""
    random = np.random.default_rng(seed)
    rows, columns = np.linspace(0, 4, height)[:, None, None], np.linspace(0, 3, width)[None, :, None]
    smooth = 128 + 60 * np.sin(rows + random.uniform(0, 6, 3)) * np.cos(columns)
    return Image.fromarray((smooth + random.normal(0, 20, smooth.shape)).clip(0, 255).astype(np.uint8))


@pytest.fixture
def files(tmp_path: Path) -> list[Path]:
    paths = []
    for number, (height, width) in enumerate(SHAPES):
        paths.append(tmp_path / f"{number}.png")
        noise(height, width, number).save(paths[-1])
    return paths


@pytest.fixture
def photographs(files: list[Path], tmp_path: Path) -> Photographs:
    return decoded(files, tmp_path / "pixels.npy")


def decoded(files: list[Path], target: Path) -> Photographs:
    return decode_all(files, target, WHOLE)


@pytest.fixture
def dataset(photographs: Photographs) -> ArrayDataset:
    transform = Transform(WHOLE, photographs=photographs)
    return ArrayDataset(torch.arange(len(SHAPES)), torch.arange(len(SHAPES)) % 3, transform)


def stored_as_torchvision_does(path: Path) -> Tensor:
    with Image.open(path) as image:
        return v2.functional.pil_to_tensor(v2.functional.resize(image, [16]))


def normalised(images: Tensor) -> Tensor:
    return v2.Normalize(CARD.mean, CARD.std)(v2.ToDtype(torch.float32, scale=True)(images))


def test_a_photograph_is_kept_whole_with_the_shorter_side_stated(
    files: list[Path], photographs: Photographs
) -> None:
    assert photographs.shapes.tolist() == [[24, 16], [16, 16], [16, 40], [36, 16], [16, 16], [16, 31]]
    for path, photograph in zip(files, photographs, strict=True):
        assert torch.equal(photograph.permute(2, 0, 1), stored_as_torchvision_does(path))


def test_more_photographs_than_a_piece_are_written_one_after_another(
    files: list[Path], tmp_path: Path
) -> None:
    many = [files[number % len(files)] for number in range(PIECE + 3)]
    photographs = decoded(many, tmp_path / "many.npy")
    assert len(photographs) == PIECE + 3
    last = photographs.read(torch.tensor([PIECE + 2]))
    assert torch.equal(next(iter(last))[0], stored_as_torchvision_does(many[-1]))


def test_testing_sees_the_centre_of_a_photograph(files: list[Path], dataset: ArrayDataset) -> None:
    expected = [v2.functional.center_crop(stored_as_torchvision_does(path), [12]) for path in files]
    (batch,) = dataset.batches(10)
    assert torch.allclose(batch.x, normalised(torch.stack(expected)), atol=1e-6)


def test_training_crops_come_from_the_whole_photograph(files: list[Path], dataset: ArrayDataset) -> None:
    order = torch.randperm(len(files), generator=(generator := torch.Generator().manual_seed(7)))
    height, width = dataset.transform.photographs.shapes[order].T.float()  # type: ignore[union-attr]
    boxes = torch.stack(crop_boxes(height, width, generator), dim=1).int().tolist()
    expected = [
        v2.functional.resized_crop(stored_as_torchvision_does(files[number]), *box, size=[12, 12])
        for number, box in zip(order.tolist(), boxes, strict=True)
    ]
    (batch,) = dataset.batches(10, torch.Generator().manual_seed(7), augment=True)
    difference = (batch.x - normalised(torch.stack(expected))).abs().amax(dim=(0, 2, 3))
    assert bool((difference <= 1.01 / 255 / torch.tensor(CARD.std)).all())
    assert any(top + high > 16 or left + wide > 16 for top, left, high, wide in boxes)


def test_a_photograph_alone_equals_itself_in_a_batch(dataset: ArrayDataset) -> None:
    (together,) = dataset.batches(10)
    for number in range(len(dataset)):
        (alone,) = dataset.select(torch.tensor([number])).batches(1)
        assert torch.equal(alone.x[0], together.x[number])


def test_a_mirrored_photograph_is_the_mirror_image(dataset: ArrayDataset) -> None:
    (plain,), (mirrored,) = dataset.batches(10), dataset.flipped().batches(10)
    odd = (dataset.transform.photographs.shapes[:, 1] % 2).bool()  # type: ignore[union-attr]
    assert torch.equal(mirrored.x[~odd], plain.x[~odd].flip(-1))  # an odd width has no exact centre
    assert torch.equal(dataset.flipped().flipped().pixels(), dataset.pixels())


def test_other_augmentations_start_from_the_centre(dataset: ArrayDataset) -> None:
    (plain,) = dataset.batches(10)
    (found,) = dataset.augmented_by().batches(10, torch.Generator().manual_seed(0), augment=True)
    assert torch.equal(found.x, plain.x[found.index])


def test_exemplars_are_numbers_that_draw_from_the_same_photographs(dataset: ArrayDataset) -> None:
    memory = Memory(dataset.transform, torch.device("cpu"))
    memory.replace(dataset.of_classes(1, 2))
    assert (memory.images.dtype, memory.images.tolist()) == (torch.int64, [1, 4])
    (everything,) = (dataset.of_classes(0, 1) + memory.data).batches(10)
    (plain,) = dataset.batches(10)
    assert torch.equal(everything.x, plain.x[[0, 3, 1, 4]])
    assert torch.equal(memory.transform.plain(memory.images[[1]]), plain.x[[4]])


def test_pixels_are_no_numbers_and_numbers_no_pixels(dataset: ArrayDataset) -> None:
    with pytest.raises(ValueError, match="images are int64"):
        ArrayDataset(torch.zeros((1, 3, 12, 12), dtype=torch.uint8), torch.zeros(1).long(), dataset.transform)
    with pytest.raises(ValueError, match="images are uint8"):
        ArrayDataset(torch.arange(1), torch.zeros(1).long(), Transform(CARD))


def test_a_damaged_photograph_is_named(files: list[Path], tmp_path: Path) -> None:
    files[2].write_bytes(files[2].read_bytes()[:200])
    with pytest.raises(DataError, match=r"2\.png cannot be decoded"):
        decoded(files, tmp_path / "pixels.npy")
