"""Published splits that an operator provides as directories."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from cil_core.data import local_splits, provider
from cil_core.data.order import class_order, task_stream
from cil_core.spec.catalog import DATASETS
from cil_core.spec.data_root import arrays_directory
from cil_core.spec.errors import DataError, InvalidSpec
from cil_core.spec.jobs import Protocol, Track
from cil_core.spec.split_cards import SPLIT_CARDS, matches
from cil_core.spec.validation import check_track

VTAB = DATASETS["vtab"]
SMALL = VTAB.model_copy(
    update={"classes": 12, "train_images": 24, "test_images": 12, "size": 24, "stored": 28}
)
"""VTAB with twelve classes of small images."""


@pytest.fixture
def data_root(tmp_path: Path) -> Path:
    """Twelve numbered classes whose shade is ten times the number in the directory's name."""
    for split, count in (("train", 2), ("test", 1)):
        for name in range(12):
            for number in range(count):
                file = tmp_path / "vtab" / split / str(name) / f"{number}.png"
                file.parent.mkdir(parents=True, exist_ok=True)
                Image.fromarray(np.full((30, 40 + number, 3), 10 * name, np.uint8)).save(file)
    return tmp_path


def test_photographs_are_kept_whole_and_classes_numbered_as_text(data_root: Path) -> None:
    source = local_splits.load(SMALL, data_root)
    assert source.arrays.train_shapes is not None
    assert source.arrays.train_shapes[:2].tolist() == [[28, 37], [28, 38]]
    photographs = source.photographs("test")
    assert photographs is not None
    shades = [int(photograph[0, 0, 0]) for photograph in photographs]
    by_label = dict(zip(source.arrays.test_labels.tolist(), shades, strict=True))
    assert [by_label[label] for label in range(4)] == [0, 10, 100, 110]  # the names 0, 1, 10, 11


def test_a_split_is_decoded_once(data_root: Path) -> None:
    first = local_splits.load(SMALL, data_root).fingerprint
    assert list(local_splits.fetch(SMALL, data_root)) == []
    assert local_splits.load(SMALL, data_root).fingerprint == first


def test_another_split_is_refused_with_both_counts(data_root: Path) -> None:
    (data_root / "vtab" / "train" / "3" / "1.png").unlink()
    with pytest.raises(
        DataError, match=r"has 12 classes, 23 training and 12 test images; the published"
    ) as no:
        local_splits.load(SMALL, data_root)
    assert "cil data add NAME" in str(no.value)
    assert not arrays_directory("vtab", data_root).exists()


@pytest.mark.parametrize("card", SPLIT_CARDS, ids=lambda card: card.name)
def test_a_missing_split_says_where_it_belongs(card, tmp_path: Path) -> None:
    assert provider(card.name) is local_splits
    with pytest.raises(DataError, match=f"{card.name} has no train and no test; .* is not downloaded"):
        local_splits.load(card, tmp_path)


def test_classes_of_a_fixed_order_arrive_by_number(data_root: Path) -> None:
    assert class_order(Protocol(first=2, increment=2), 12, is_fixed=True) == tuple(range(12))
    reverse = tuple(reversed(range(12)))
    assert class_order(Protocol(first=2, increment=2, class_order=reverse), 12, is_fixed=True) == reverse
    track = Track.from_slug("vtab-b0-inc4-m0-convnet")
    first = task_stream(local_splits.load(SMALL, data_root), track)[0]
    (batch,) = first.test.batches(10)
    shades = (batch.x[:, 0, 0, 0] * VTAB.std[0] + VTAB.mean[0]) * 255
    assert torch.allclose(shades, torch.tensor([0.0, 10, 100, 110]), atol=0.01)


def test_a_seed_for_another_order_is_refused_where_the_order_is_fixed() -> None:
    slug = "vtab-b0-inc10-m0-vit_b16{}-augreg_in21k"
    check_track(Track.from_slug(slug.format("")))
    with pytest.raises(InvalidSpec, match="classes of vtab arrive in the order of their numbers"):
        check_track(Track.from_slug(slug.format("-order7")))


def test_a_directory_is_recognised_by_its_counts() -> None:
    cub = DATASETS["cub200"].model_copy(update={"name": "folder:birds"})
    assert matches(cub) == (
        "matches the counts of CUB-200-2011 (cub200: 200 classes, 9430 training and 2358 test images), "
        "fingerprint not verified",
    )
    official = cub.model_copy(update={"train_images": 5_994, "test_images": 5_794})
    assert matches(official) == (
        "has the classes and images of CUB-200-2011 in another split; published is 200 classes, "
        "9430 training and 2358 test images",
    )
    assert matches(DATASETS["cifar100"]) == ()
