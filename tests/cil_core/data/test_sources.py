"""What a loaded dataset is checked for, and the embedded one."""

from pathlib import Path
from typing import Any

import pytest
import torch

from cil_core.data import load, loader
from cil_core.data.source import Arrays, Source
from cil_core.spec.catalog import DATASETS
from cil_core.spec.errors import DataError, InvalidSpec
from cil_core.spec.jobs import Track

DIGITS = Track.from_slug("digits-b0-inc2-m50-convnet")


@pytest.fixture
def arrays() -> dict[str, Any]:
    """Arrays that fit the toy card."""
    generator = torch.Generator().manual_seed(0)
    images = torch.randint(256, (36, 3, 8, 8), generator=generator, dtype=torch.uint8)
    labels = torch.arange(36) % 3
    return {
        "train_images": images[:30],
        "train_labels": labels[:30],
        "test_images": images[30:],
        "test_labels": labels[30:],
    }


def test_digits_are_the_1797_scans_split_by_class(tmp_path: Path) -> None:
    source = load(DIGITS, tmp_path).arrays
    assert (len(source.train_images), len(source.test_images)) == (1437, 360)
    assert torch.bincount(source.test_labels).tolist() == [36, 36, 35, 37, 36, 37, 36, 36, 35, 36]
    assert source.train_images.shape[1:] == (1, 8, 8)
    assert set(torch.cat([source.train_images, source.test_images]).unique().tolist()) == {
        round(value * 255 / 16) for value in range(17)
    }


def test_digits_have_the_mean_and_deviation_of_their_card(tmp_path: Path) -> None:
    source = load(DIGITS, tmp_path)
    pixels = torch.cat([source.arrays.train_images, source.arrays.test_images]).double() / 255
    assert float(pixels.mean()) == pytest.approx(source.card.mean[0], abs=1e-3)
    assert float(pixels.std()) == pytest.approx(source.card.std[0], abs=1e-3)


def test_each_load_of_digits_has_its_own_arrays(tmp_path: Path) -> None:
    first = load(DIGITS, tmp_path)
    first.arrays.train_images.zero_()
    first.arrays.test_labels.fill_(-1)
    second = load(DIGITS, tmp_path)
    assert second.arrays.train_images.any()
    assert second.arrays.test_labels.min() == 0


def test_digits_are_the_same_everywhere(tmp_path: Path) -> None:
    assert (
        load(DIGITS, tmp_path).fingerprint
        == "d881159c18464a6a563164e9c27d05a92577b1eeede1eefb2078803409456655"
    )


@pytest.mark.parametrize("name", DATASETS)
def test_every_card_has_a_loader(name: str) -> None:
    assert callable(loader(name))


def test_an_unknown_dataset_is_refused_with_the_known_ones(tmp_path: Path) -> None:
    with pytest.raises(InvalidSpec, match=r"unknown dataset 'digits2'; known: .*digits"):
        load(DIGITS.model_copy(update={"dataset": "digits2"}), tmp_path)


def test_the_fingerprint_covers_pixels_labels_and_preparation(arrays, card) -> None:
    changed = arrays["test_images"].clone()
    changed[0, 0, 0, 0] ^= 1
    labels = arrays["train_labels"].roll(1)
    sources = [
        Source(card, Arrays(**arrays)),
        Source(card, Arrays(**{**arrays, "test_images": changed})),
        Source(card, Arrays(**{**arrays, "train_labels": labels})),
        Source(card.model_copy(update={"mean": (0.4, 0.5, 0.5)}), Arrays(**arrays)),
        Source(card.model_copy(update={"augment": ("flip",)}), Arrays(**arrays)),
    ]
    assert len({source.fingerprint for source in sources}) == len(sources)
    assert (
        Source(card.model_copy(update={"title": "Other"}), Arrays(**arrays)).fingerprint
        == sources[0].fingerprint
    )


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (
            {"train_images": torch.zeros(30, 3, 9, 9, dtype=torch.uint8)},
            r"training images are torch.uint8 \(3, 9, 9\)",
        ),
        ({"test_images": torch.zeros(6, 3, 8, 8)}, "test images are torch.float32"),
        ({"train_labels": torch.arange(30) % 2}, "no training image of class 2"),
        ({"train_labels": torch.arange(30) % 4}, "training label 3 is outside 0 … 2"),
        ({"test_labels": torch.arange(6) % 3 - 1}, "test label -1 is outside"),
        ({"train_labels": torch.arange(29) % 3}, "30 training images with 29 labels"),
        (
            {"test_images": torch.zeros(5, 3, 8, 8, dtype=torch.uint8), "test_labels": torch.arange(5) % 3},
            "5 test images .* there are 6",
        ),
    ],
)
def test_arrays_that_are_not_what_the_card_says_are_refused(
    arrays, card, change: dict[str, torch.Tensor], says: str
) -> None:
    with pytest.raises(DataError, match=says):
        Source(card, Arrays(**{**arrays, **change}))
