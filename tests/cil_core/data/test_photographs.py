"""The readers of published photographs: mixed sizes, lists of names, splits."""

import io
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.io import savemat
from torchvision import datasets

from cil_core.data import vision
from cil_core.spec.catalog import DATASETS
from cil_core.spec.errors import DataError

from .formats import Site, picture, shades, small, tarred, unpacked, zipped


def test_gtsrbs_signs_are_brought_to_one_size(tmp_path: Path) -> None:
    unpacked(
        tmp_path / "gtsrb",
        {
            "GTSRB/Training/00000/00000_00000.ppm": picture(40, (30, 29), "PPM"),
            "GTSRB/Training/00000/GT-00000.csv": b"",
            "GTSRB/Training/00001/00000_00000.ppm": picture(200, (60, 80), "PPM"),
            "GTSRB/Final_Test/Images/00000.ppm": picture(190, (25, 25), "PPM"),
            "GTSRB/Final_Test/Images/00001.ppm": picture(50, (31, 32), "PPM"),
            "GT-final_test.csv": b"Filename;Width;ClassId\n00000.ppm;25;1\n00001.ppm;31;0\n",
        },
    )
    (images, labels), (test_images, test_labels) = vision.gtsrb().splits(tmp_path, DATASETS["gtsrb"])
    assert images.shape == (2, 3, 32, 32)
    assert (shades(images), labels.tolist()) == ([40, 200], [0, 1])
    assert (shades(test_images), test_labels.tolist()) == ([190, 50], [1, 0])


def test_eurosat_is_split_by_class_and_always_alike(tmp_path: Path) -> None:
    files = {
        f"2750/{name}/{name}_{number}.jpg": picture(100 * label + 10 * number)
        for label, name in enumerate(("Crop", "Forest"))
        for number in range(10)
    }
    unpacked(tmp_path / "eurosat", files)
    first, second = (vision.eurosat().splits(tmp_path, DATASETS["eurosat"]) for _ in range(2))
    (train, train_labels), (test, test_labels) = first
    assert (torch.bincount(train_labels).tolist(), torch.bincount(test_labels).tolist()) == ([8, 8], [2, 2])
    assert sorted(shades(train) + shades(test)) == list(range(0, 200, 10))
    assert torch.equal(test, second[1][0])


def test_food_is_split_as_its_lists_say(site: Site, tmp_path: Path) -> None:
    lists = {
        "train": {"pie": ["pie/1", "pie/2"], "soup": ["soup/1"]},
        "test": {"pie": ["pie/3"], "soup": ["soup/2"]},
    }
    files = {f"food-101/meta/{split}.json": json.dumps(names).encode() for split, names in lists.items()}
    files |= {
        f"food-101/images/{name}.jpg": picture(shade, (90, 120))
        for name, shade in {"pie/1": 10, "pie/2": 20, "pie/3": 30, "soup/1": 210, "soup/2": 220}.items()
    }

    class Small(datasets.Food101):
        _URL = site.url + "food-101.tar.gz"
        _MD5 = site.put("food-101.tar.gz", tarred(files))

    arrays = (
        vision.food101(Small)
        .load(small("food101", classes=2, train_images=3, test_images=2), tmp_path)
        .arrays
    )
    assert (shades(arrays.train_images), arrays.train_labels.tolist()) == ([10, 20, 210], [0, 0, 1])
    assert (shades(arrays.test_images), arrays.test_labels.tolist()) == ([30, 220], [0, 1])


def test_flowers_train_on_training_and_validation_images(site: Site, tmp_path: Path) -> None:
    def matrix(**values: list[int]) -> bytes:
        buffer = io.BytesIO()
        savemat(buffer, {name: np.array(value) for name, value in values.items()})
        return buffer.getvalue()

    archive = tarred(
        {f"jpg/image_{number:05d}.jpg": picture(10 * number, (70, 80)) for number in range(1, 7)}
    )
    labels = matrix(labels=[1, 2, 1, 2, 1, 2])
    identifiers = matrix(trnid=[2, 1], valid=[3, 4], tstid=[6, 5])

    class Small(datasets.Flowers102):
        _download_url_prefix = site.url
        _file_dict = {
            "image": ("102flowers.tgz", site.put("102flowers.tgz", archive)),
            "label": ("imagelabels.mat", site.put("imagelabels.mat", labels)),
            "setid": ("setid.mat", site.put("setid.mat", identifiers)),
        }

    arrays = (
        vision.flowers102(Small)
        .load(small("flowers102", classes=2, train_images=4, test_images=2), tmp_path)
        .arrays
    )
    assert (shades(arrays.train_images), arrays.train_labels.tolist()) == ([20, 10, 30, 40], [1, 0, 0, 1])
    assert (shades(arrays.test_images), arrays.test_labels.tolist()) == ([60, 50], [1, 0])


def tiny_imagenet_files() -> dict[str, bytes]:
    return {
        "tiny-imagenet-200/wnids.txt": b"n02\nn01\n",
        "tiny-imagenet-200/train/n01/images/n01_0.JPEG": picture(10),
        "tiny-imagenet-200/train/n01/n01_boxes.txt": b"",
        "tiny-imagenet-200/train/n02/images/n02_0.JPEG": picture(210),
        "tiny-imagenet-200/val/images/val_0.JPEG": picture(220),
        "tiny-imagenet-200/val/images/val_1.JPEG": picture(20),
        "tiny-imagenet-200/val/val_annotations.txt": b"val_0.JPEG\tn02\t0\t0\t1\t1\n"
        b"val_1.JPEG\tn01\t0\t0\t1\t1\n",
    }


def test_tiny_imagenet_is_tested_on_its_labelled_validation_images(tmp_path: Path) -> None:
    (tmp_path / "tiny-imagenet-200.zip").write_bytes(zipped(tiny_imagenet_files()))
    (train, train_labels), (test, test_labels) = vision.tiny_imagenet().splits(
        tmp_path, DATASETS["tiny_imagenet"]
    )
    assert (shades(train), train_labels.tolist()) == ([10, 210], [0, 1])
    assert (shades(test), test_labels.tolist()) == ([220, 20], [1, 0])


def test_a_damaged_photograph_is_named(tmp_path: Path) -> None:
    files = tiny_imagenet_files()
    files["tiny-imagenet-200/val/images/val_1.JPEG"] = picture(20)[:-50]
    unpacked(tmp_path, files)
    with pytest.raises(DataError, match=r"val/images/val_1.JPEG cannot be decoded"):
        vision.tiny_imagenet().splits(tmp_path, DATASETS["tiny_imagenet"])
