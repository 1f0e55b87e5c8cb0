"""The readers of published datasets, on small archives of the true formats: written here, served over HTTP, fetched as any other."""

import functools
import gzip
import hashlib
import io
import json
import pickle
import struct
import tarfile
import threading
import zipfile
from collections.abc import Iterator
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image
from scipy.io import savemat
from torchvision import datasets

from cil_core.catalog import DATASETS, DatasetCard
from cil_core.data import vision
from cil_core.data.published import Published
from cil_core.data.source import Source
from cil_core.errors import DataError
from cil_core.layout import arrays_directory

RANDOM = np.random.default_rng(0)


def pixels(*shape: int) -> NDArray[np.uint8]:
    return RANDOM.integers(0, 256, shape, dtype=np.uint8)


def md5(content: bytes) -> str:
    return hashlib.md5(content).hexdigest()


def small(name: str, **changes: Any) -> DatasetCard:
    """A dataset's card, for a few images of it."""
    return DATASETS[name].model_copy(update=changes)


class Site:
    """A web site; `put` makes a file of it."""

    def __init__(self, directory: Path, url: str) -> None:
        self.directory = directory
        self.url = url

    def put(self, name: str, content: bytes) -> str:
        """Returns its MD5."""
        (self.directory / name).write_bytes(content)
        return md5(content)


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    class Quiet(SimpleHTTPRequestHandler):
        def log_message(self, *_: object) -> None:
            pass

    directory = tmp_path / "site"
    directory.mkdir()
    server = ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=directory))
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield Site(directory, f"http://127.0.0.1:{server.server_port}/")
    server.shutdown()
    server.server_close()
    thread.join()


def tarred(files: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as archive:
        for name, content in files.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            archive.addfile(entry, io.BytesIO(content))
    return buffer.getvalue()


def zipped(files: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return buffer.getvalue()


def idx(array: NDArray[np.uint8]) -> bytes:
    """The IDX format of MNIST: magic number with the rank, sizes, bytes."""
    return struct.pack(f">BBBB{array.ndim}I", 0, 0, 8, array.ndim, *array.shape) + array.tobytes()


def picture(shade: int, size: tuple[int, int] = (64, 64), kind: str = "JPEG") -> bytes:
    """A plain image, which survives compression and scaling."""
    buffer = io.BytesIO()
    Image.new("RGB", size, (shade, shade, shade)).save(buffer, kind)
    return buffer.getvalue()


def shades(images: torch.Tensor) -> list[int]:
    """Of plain images, each to the nearest ten."""
    return [round(float(image.float().mean()) / 10) * 10 for image in images]


# ---------------------------------------------------------------------------------------------------- CIFAR


def cifar_files(images: NDArray[np.uint8], labels: list[int]) -> dict[str, bytes]:
    """CIFAR-100's archive: the first half trains."""
    half = len(images) // 2

    def batch(part: slice) -> bytes:
        return pickle.dumps({"data": images[part].reshape(-1, 3072), "fine_labels": labels[part]})

    meta = pickle.dumps({"fine_label_names": ["a", "b", "c"]})
    return {"cifar-100-python/train": batch(slice(half)), "cifar-100-python/test": batch(slice(half, None)), "cifar-100-python/meta": meta}


IMAGES, LABELS = pixels(12, 3, 32, 32), [0, 1, 2, 2, 1, 0] * 2
CIFAR_CARD = small("cifar100", classes=3, train_images=6, test_images=6)


@pytest.fixture
def cifar(site: Site) -> Published:
    files = cifar_files(IMAGES, LABELS)
    sums = {name.rpartition("/")[2]: md5(content) for name, content in files.items()}

    class Small(datasets.CIFAR100):
        url = site.url + "cifar-100-python.tar.gz"
        tgz_md5 = site.put("cifar-100-python.tar.gz", tarred(files))
        train_list = [["train", sums["train"]]]
        test_list = [["test", sums["test"]]]
        meta = {"filename": "meta", "key": "fine_label_names", "md5": sums["meta"]}

    return vision.cifar(Small)


def test_cifars_batches_are_read_with_their_labels(cifar: Published, tmp_path: Path) -> None:
    arrays = cifar.load(CIFAR_CARD, tmp_path).arrays
    assert np.array_equal(torch.cat([arrays.train_images, arrays.test_images]).numpy(), IMAGES)
    assert arrays.train_labels.tolist() + arrays.test_labels.tolist() == LABELS


def test_fetching_tells_its_progress_and_is_done_once(cifar: Published, tmp_path: Path) -> None:
    steps = list(cifar.fetch(CIFAR_CARD, tmp_path))
    assert steps[-1].file == "cifar-100-python.tar.gz"
    assert steps[-1].done_bytes == steps[-1].total_bytes
    assert list(cifar.fetch(CIFAR_CARD, tmp_path)) == []


def test_once_decoded_a_dataset_needs_neither_the_host_nor_the_archive(cifar: Published, site: Site, tmp_path: Path) -> None:
    fingerprint = cifar.load(CIFAR_CARD, tmp_path).fingerprint
    (site.directory / "cifar-100-python.tar.gz").unlink()
    (tmp_path / "cifar100" / "cifar-100-python.tar.gz").unlink()
    assert cifar.load(CIFAR_CARD, tmp_path).fingerprint == fingerprint


def test_an_archive_put_in_place_by_hand_is_used(cifar: Published, site: Site, tmp_path: Path) -> None:
    (tmp_path / "cifar100").mkdir()
    (site.directory / "cifar-100-python.tar.gz").rename(tmp_path / "cifar100" / "cifar-100-python.tar.gz")
    assert len(cifar.load(CIFAR_CARD, tmp_path).arrays.train_labels) == 6


def test_processes_that_need_the_same_dataset_fetch_it_once(cifar: Published, tmp_path: Path) -> None:
    first = cifar.fetch(CIFAR_CARD, tmp_path)
    next(first)  # holds the lock
    results: list[Source] = []
    second = threading.Thread(target=lambda: results.append(cifar.load(CIFAR_CARD, tmp_path)))
    second.start()
    assert results == []
    list(first)
    second.join(timeout=30)
    assert len(results) == 1


def test_a_damaged_archive_is_named(cifar: Published, site: Site, tmp_path: Path) -> None:
    (site.directory / "cifar-100-python.tar.gz").write_bytes(b"something else")
    with pytest.raises(DataError, match=r"cifar-100-python.tar.gz.part is damaged: its MD5 is"):
        cifar.load(CIFAR_CARD, tmp_path)


def test_a_host_without_the_file_is_named(cifar: Published, site: Site, tmp_path: Path) -> None:
    (site.directory / "cifar-100-python.tar.gz").unlink()
    with pytest.raises(DataError, match=r"cannot download http://127.0.0.1:\d+/cifar-100-python.tar.gz: HTTP Error 404"):
        cifar.load(CIFAR_CARD, tmp_path)


def test_unpacked_files_that_are_damaged_are_unpacked_again(cifar: Published, tmp_path: Path) -> None:
    list(cifar.fetch(CIFAR_CARD, tmp_path))
    (tmp_path / "cifar100" / "cifar-100-python" / "train").write_bytes(b"x")
    for file in arrays_directory("cifar100", tmp_path).iterdir():
        file.unlink()
    assert len(cifar.load(CIFAR_CARD, tmp_path).arrays.train_labels) == 6


@pytest.mark.parametrize(("name", "kind"), [("cifar10", datasets.CIFAR10), ("cifar100", datasets.CIFAR100)])
def test_the_real_cifar_has_its_published_address_and_checksum(name: str, kind: type[datasets.CIFAR10]) -> None:
    (archive,) = vision.PUBLISHED[name].archives
    assert (archive.url, archive.md5) == (kind.url, kind.tgz_md5)
    assert archive.url.startswith("https://www.cs.toronto.edu/~kriz/cifar-10")


# ---------------------------------------------------------------------------------------------------- IDX, MATLAB, raw bytes


def test_mnists_idx_files_are_read(site: Site, tmp_path: Path) -> None:
    train, test, labels = pixels(6, 28, 28), pixels(3, 28, 28), np.array([0, 1, 2], dtype=np.uint8)
    contents = {
        "train-images-idx3-ubyte": idx(train), "train-labels-idx1-ubyte": idx(np.tile(labels, 2)),
        "t10k-images-idx3-ubyte": idx(test), "t10k-labels-idx1-ubyte": idx(labels),
    }  # fmt: skip

    class Small(datasets.MNIST):
        mirrors = [site.url]
        resources = [(f"{name}.gz", site.put(f"{name}.gz", gzip.compress(content))) for name, content in contents.items()]

    arrays = vision.mnist(Small).load(small("mnist", classes=3, train_images=6, test_images=3), tmp_path).arrays
    assert np.array_equal(arrays.train_images[:, 0].numpy(), train)
    assert np.array_equal(arrays.test_images[:, 0].numpy(), test)
    assert arrays.train_labels.tolist() == [0, 1, 2, 0, 1, 2]


def test_emnists_letters_are_turned_upright(site: Site, tmp_path: Path) -> None:
    train, test, labels = pixels(3, 28, 28), pixels(3, 28, 28), np.array([2, 0, 1], dtype=np.uint8)
    contents = {"train-images-idx3": idx(train), "train-labels-idx1": idx(labels), "test-images-idx3": idx(test), "test-labels-idx1": idx(labels)}
    archive = zipped({f"gzip/emnist-balanced-{name}-ubyte.gz": gzip.compress(content) for name, content in contents.items()})

    class Small(datasets.EMNIST):
        url = site.url + "gzip.zip"
        md5 = site.put("gzip.zip", archive)

    arrays = vision.emnist(Small).load(small("emnist", classes=3, train_images=3, test_images=3), tmp_path).arrays
    assert np.array_equal(arrays.train_images[:, 0].numpy(), train.transpose(0, 2, 1))
    assert arrays.test_labels.tolist() == [2, 0, 1]


def test_svhns_matrices_are_read_and_its_ten_is_a_zero(site: Site, tmp_path: Path) -> None:
    images = {"train": pixels(32, 32, 3, 4), "test": pixels(32, 32, 3, 3)}
    labels = {"train": [10, 1, 2, 1], "test": [2, 10, 1]}

    def matrix(split: str) -> bytes:
        buffer = io.BytesIO()
        savemat(buffer, {"X": images[split], "y": np.array(labels[split], dtype=np.uint8)[:, None]})
        return buffer.getvalue()

    class Small(datasets.SVHN):
        split_list = {
            split: [f"{site.url}{split}_32x32.mat", f"{split}_32x32.mat", site.put(f"{split}_32x32.mat", matrix(split))] for split in ("train", "test")
        }

    arrays = vision.svhn(Small).load(small("svhn", classes=3, train_images=4, test_images=3), tmp_path).arrays
    assert np.array_equal(arrays.train_images.numpy(), images["train"].transpose(3, 2, 0, 1))
    assert arrays.train_labels.tolist() == [0, 1, 2, 1]
    assert arrays.test_labels.tolist() == [2, 0, 1]


def test_stl10s_columns_become_rows(site: Site, tmp_path: Path) -> None:
    train, test = pixels(3, 3, 96, 96), pixels(2, 3, 96, 96)
    files = {
        "train_X.bin": train.tobytes(), "train_y.bin": bytes([1, 2, 1]), "test_X.bin": test.tobytes(), "test_y.bin": bytes([2, 1]), "unlabeled_X.bin": b"",
    }  # fmt: skip

    class Small(datasets.STL10):
        url = site.url + "stl10_binary.tar.gz"
        tgz_md5 = site.put("stl10_binary.tar.gz", tarred({f"stl10_binary/{name}": content for name, content in files.items()}))
        train_list = [[name, md5(files[name])] for name in ("train_X.bin", "train_y.bin", "unlabeled_X.bin")]
        test_list = [[name, md5(files[name])] for name in ("test_X.bin", "test_y.bin")]

    arrays = vision.stl10(Small).load(small("stl10", classes=2, train_images=3, test_images=2), tmp_path).arrays
    assert np.array_equal(arrays.train_images.numpy(), train.transpose(0, 1, 3, 2))
    assert (arrays.train_labels.tolist(), arrays.test_labels.tolist()) == ([0, 1, 0], [1, 0])


# ---------------------------------------------------------------------------------------------------- photographs


def unpacked(root: Path, files: dict[str, bytes]) -> None:
    """Lay files out as unpacking an archive does."""
    for name, content in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(content)


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
    files = {f"2750/{name}/{name}_{number}.jpg": picture(100 * label + 10 * number) for label, name in enumerate(("Crop", "Forest")) for number in range(10)}
    unpacked(tmp_path / "eurosat", files)
    first, second = (vision.eurosat().splits(tmp_path, DATASETS["eurosat"]) for _ in range(2))
    (train, train_labels), (test, test_labels) = first
    assert (torch.bincount(train_labels).tolist(), torch.bincount(test_labels).tolist()) == ([8, 8], [2, 2])
    assert sorted(shades(train) + shades(test)) == list(range(0, 200, 10))
    assert torch.equal(test, second[1][0])


def test_food_is_split_as_its_lists_say(site: Site, tmp_path: Path) -> None:
    lists = {"train": {"pie": ["pie/1", "pie/2"], "soup": ["soup/1"]}, "test": {"pie": ["pie/3"], "soup": ["soup/2"]}}
    files = {f"food-101/meta/{split}.json": json.dumps(names).encode() for split, names in lists.items()}
    files |= {
        f"food-101/images/{name}.jpg": picture(shade, (90, 120))
        for name, shade in {"pie/1": 10, "pie/2": 20, "pie/3": 30, "soup/1": 210, "soup/2": 220}.items()
    }

    class Small(datasets.Food101):
        _URL = site.url + "food-101.tar.gz"
        _MD5 = site.put("food-101.tar.gz", tarred(files))

    arrays = vision.food101(Small).load(small("food101", classes=2, train_images=3, test_images=2), tmp_path).arrays
    assert (shades(arrays.train_images), arrays.train_labels.tolist()) == ([10, 20, 210], [0, 0, 1])
    assert (shades(arrays.test_images), arrays.test_labels.tolist()) == ([30, 220], [0, 1])


def test_flowers_train_on_training_and_validation_images(site: Site, tmp_path: Path) -> None:
    def matrix(**values: list[int]) -> bytes:
        buffer = io.BytesIO()
        savemat(buffer, {name: np.array(value) for name, value in values.items()})
        return buffer.getvalue()

    archive = tarred({f"jpg/image_{number:05d}.jpg": picture(10 * number, (70, 80)) for number in range(1, 7)})
    labels = matrix(labels=[1, 2, 1, 2, 1, 2])
    identifiers = matrix(trnid=[2, 1], valid=[3, 4], tstid=[6, 5])

    class Small(datasets.Flowers102):
        _download_url_prefix = site.url
        _file_dict = {
            "image": ("102flowers.tgz", site.put("102flowers.tgz", archive)),
            "label": ("imagelabels.mat", site.put("imagelabels.mat", labels)),
            "setid": ("setid.mat", site.put("setid.mat", identifiers)),
        }

    arrays = vision.flowers102(Small).load(small("flowers102", classes=2, train_images=4, test_images=2), tmp_path).arrays
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
        "tiny-imagenet-200/val/val_annotations.txt": b"val_0.JPEG\tn02\t0\t0\t1\t1\nval_1.JPEG\tn01\t0\t0\t1\t1\n",
    }


def test_tiny_imagenet_is_tested_on_its_labelled_validation_images(tmp_path: Path) -> None:
    (tmp_path / "tiny-imagenet-200.zip").write_bytes(zipped(tiny_imagenet_files()))
    (train, train_labels), (test, test_labels) = vision.tiny_imagenet().splits(tmp_path, DATASETS["tiny_imagenet"])
    assert (shades(train), train_labels.tolist()) == ([10, 210], [0, 1])
    assert (shades(test), test_labels.tolist()) == ([220, 20], [1, 0])


def test_a_damaged_photograph_is_named(tmp_path: Path) -> None:
    files = tiny_imagenet_files()
    files["tiny-imagenet-200/val/images/val_1.JPEG"] = picture(20)[:-50]
    unpacked(tmp_path, files)
    with pytest.raises(DataError, match=r"val/images/val_1.JPEG cannot be decoded"):
        vision.tiny_imagenet().splits(tmp_path, DATASETS["tiny_imagenet"])


@pytest.mark.parametrize("name", vision.PUBLISHED)
def test_every_published_archive_has_an_address_and_a_checksum(name: str) -> None:
    for archive in vision.PUBLISHED[name].archives:
        assert archive.url.startswith(("https://", "http://"))
        assert len(bytes.fromhex(archive.md5)) == 16
