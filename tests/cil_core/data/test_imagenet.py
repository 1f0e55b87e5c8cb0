"""ImageNet out of an operator's directory: the true layout, small images."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from cil_core.data import imagenet, prepared
from cil_core.data.source import Arrays, Source
from cil_core.engine.machine import Machine
from cil_core.engine.run import run
from cil_core.spec.catalog import DATASETS
from cil_core.spec.data_root import arrays_directory
from cil_core.spec.errors import DataError
from cil_core.spec.events import RunFinished
from cil_core.spec.jobs import RunSpec

CARD = DATASETS["imagenet100"]
WNIDS = [f"n{number:08d}" for number in range(1000)]
CHOSEN = sorted(WNIDS[index] for index in np.random.RandomState(1993).permutation(1000)[:100])


def small_imagenet(root: Path, train: int) -> None:
    """A thousand classes of which a hundred have images: `train` to train and one to test, of mixed sizes."""
    random = np.random.default_rng(0)
    for wnid in WNIDS:
        (root / "train" / wnid).mkdir(parents=True)
    for label, wnid in enumerate(CHOSEN):
        for split, count in (("train", train), ("val", 1)):
            for number in range(count):
                file = root / split / wnid / f"{wnid}_{number}.JPEG"
                file.parent.mkdir(parents=True, exist_ok=True)
                shade = np.full((20 + number, 30, 3), 2 * label, dtype=np.uint8) + random.integers(
                    0, 3, (20 + number, 30, 3), dtype=np.uint8
                )
                Image.fromarray(shade).save(file, quality=95)


@pytest.fixture(scope="module")
def operators(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("imagenet")
    small_imagenet(root, train=2)
    return root


@pytest.fixture
def data_root(tmp_path: Path, operators: Path) -> Path:
    (tmp_path / "imagenet").symlink_to(operators)
    return tmp_path


def load(data_root: Path) -> Source:
    return imagenet.load(CARD, data_root)


def test_the_subset_is_read_with_its_labels_at_the_size_it_is_kept(data_root: Path) -> None:
    progress = list(imagenet.fetch(CARD, data_root))
    assert [(step.file, step.done, step.total, step.unit) for step in progress] == [
        ("train_images", 200, 200, "images"),
        ("test_images", 100, 100, "images"),
    ]
    source = load(data_root)
    assert source.arrays.train_shapes is not None
    assert source.arrays.train_shapes.tolist() == 100 * [[256, 384], [256, 365]]  # from 20×30 and 21×30
    assert (source.card.train_images, source.card.test_images) == (200, 100)
    assert torch.equal(source.arrays.train_labels, torch.arange(100).repeat_interleave(2))
    photographs = source.photographs("test")
    assert photographs is not None
    shades = torch.stack([photograph.float().mean() for photograph in photographs])
    assert (shades - 2 * torch.arange(100)).abs().max() < 4


def test_squares_that_an_earlier_version_decoded_are_refused(tmp_path: Path) -> None:
    arrays = arrays_directory("imagenet100", tmp_path)
    squares, labels = torch.zeros((2, 3, 4, 4), dtype=torch.uint8), torch.arange(2)
    prepared.write(arrays, Arrays(squares, labels, squares, labels))
    with pytest.raises(DataError, match=r"holds square images .* delete it to prepare the dataset again"):
        load(tmp_path)


def test_it_is_decoded_once(data_root: Path) -> None:
    first = load(data_root).fingerprint
    (data_root / "imagenet").unlink()
    assert list(imagenet.fetch(CARD, data_root)) == []
    assert load(data_root).fingerprint == first


@pytest.mark.slow
def test_a_run_streams_it(data_root: Path) -> None:
    schedule = {"epochs": 1, "batch_size": 16, "lr": 0.01, "milestones": []}
    method = {"name": "finetune", "first_task": schedule, "later_tasks": schedule}
    spec = RunSpec.model_validate({"method": method, "track": "imagenet100-b50-inc50-m0-convnet", "seed": 1})
    *_, last = run(spec, Machine(data_root=data_root, resident_bytes=2**20))
    assert isinstance(last, RunFinished)


def test_a_directory_that_is_not_imagenet_is_refused_with_what_is_wanted(tmp_path: Path) -> None:
    with pytest.raises(
        DataError,
        match=r"has 0 directories of classes, not 1000; ImageNet is not downloaded: "
        r"get ILSVRC 2012 from image-net.org",
    ):
        load(tmp_path)


def test_a_class_without_images_and_a_damaged_image_are_named(tmp_path: Path, operators: Path) -> None:
    root = tmp_path / "imagenet"
    (root / "train").mkdir(parents=True)
    for wnid in WNIDS:
        (root / "train" / wnid).symlink_to(operators / "train" / wnid)
    (root / "val").mkdir()
    with pytest.raises(DataError, match=f"{CHOSEN[0]} has no images"):
        load(tmp_path)
    (root / "val").rmdir()
    (root / "val").symlink_to(operators / "val")
    (root / "train" / CHOSEN[3]).unlink()
    (root / "train" / CHOSEN[3]).mkdir()
    (root / "train" / CHOSEN[3] / "broken.JPEG").write_bytes(b"\xff\xd8 not a picture")
    with pytest.raises(DataError, match=r"broken\.JPEG cannot be decoded"):
        load(tmp_path)
    assert not arrays_directory("imagenet100", tmp_path).exists()


def test_all_of_it_is_all_of_it() -> None:
    assert imagenet.subset(WNIDS, 1000) == WNIDS
    assert imagenet.subset(WNIDS, 100) == CHOSEN


@pytest.mark.parametrize("name", ["imagenet100", "imagenet1000"])
def test_training_crops_and_mirrors_and_changes_no_colours(name: str) -> None:
    assert DATASETS[name].augment == ("resizedcrop:224", "flip")
