"""The readers of published datasets, on small archives of the true formats that are served over HTTP."""

import gzip
import io
import pickle
import threading
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from scipy.io import savemat
from torchvision import datasets

from cil_core.data import vision
from cil_core.data.published import Published
from cil_core.data.source import Source
from cil_core.spec.data_root import arrays_directory
from cil_core.spec.errors import DataError

from .formats import Site, idx, md5, pixels, small, tarred, zipped

# ------------------ CIFAR


def cifar_files(images: NDArray[np.uint8], labels: list[int]) -> dict[str, bytes]:
    """CIFAR-100's archive: the first half trains."""
    half = len(images) // 2

    def batch(part: slice) -> bytes:
        return pickle.dumps({"data": images[part].reshape(-1, 3072), "fine_labels": labels[part]})

    meta = pickle.dumps({"fine_label_names": ["a", "b", "c"]})
    return {
        "cifar-100-python/train": batch(slice(half)),
        "cifar-100-python/test": batch(slice(half, None)),
        "cifar-100-python/meta": meta,
    }


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
    assert steps[-1].done == steps[-1].total
    assert list(cifar.fetch(CIFAR_CARD, tmp_path)) == []


def test_once_decoded_a_dataset_needs_neither_the_host_nor_the_archive(
    cifar: Published, site: Site, tmp_path: Path
) -> None:
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
    with pytest.raises(
        DataError, match=r"cannot download http://127.0.0.1:\d+/cifar-100-python.tar.gz: HTTP Error 404"
    ):
        cifar.load(CIFAR_CARD, tmp_path)


def test_unpacked_files_that_are_damaged_are_unpacked_again(cifar: Published, tmp_path: Path) -> None:
    list(cifar.fetch(CIFAR_CARD, tmp_path))
    (tmp_path / "cifar100" / "cifar-100-python" / "train").write_bytes(b"x")
    for file in arrays_directory("cifar100", tmp_path).iterdir():
        file.unlink()
    assert len(cifar.load(CIFAR_CARD, tmp_path).arrays.train_labels) == 6


@pytest.mark.parametrize(("name", "kind"), [("cifar10", datasets.CIFAR10), ("cifar100", datasets.CIFAR100)])
def test_the_real_cifar_has_its_published_address_and_checksum(
    name: str, kind: type[datasets.CIFAR10]
) -> None:
    (archive,) = vision.PUBLISHED[name].archives
    assert (archive.url, archive.checksum) == (kind.url, kind.tgz_md5)
    assert archive.url.startswith("https://www.cs.toronto.edu/~kriz/cifar-10")


# ------------------ IDX, MATLAB, raw bytes


def test_mnists_idx_files_are_read(site: Site, tmp_path: Path) -> None:
    train, test, labels = pixels(6, 28, 28), pixels(3, 28, 28), np.array([0, 1, 2], dtype=np.uint8)
    contents = {
        "train-images-idx3-ubyte": idx(train),
        "train-labels-idx1-ubyte": idx(np.tile(labels, 2)),
        "t10k-images-idx3-ubyte": idx(test),
        "t10k-labels-idx1-ubyte": idx(labels),
    }

    class Small(datasets.MNIST):
        mirrors = [site.url]
        resources = [
            (f"{name}.gz", site.put(f"{name}.gz", gzip.compress(content)))
            for name, content in contents.items()
        ]

    arrays = (
        vision.mnist(Small).load(small("mnist", classes=3, train_images=6, test_images=3), tmp_path).arrays
    )
    assert np.array_equal(arrays.train_images[:, 0].numpy(), train)
    assert np.array_equal(arrays.test_images[:, 0].numpy(), test)
    assert arrays.train_labels.tolist() == [0, 1, 2, 0, 1, 2]


def test_emnists_letters_are_turned_upright(site: Site, tmp_path: Path) -> None:
    train, test, labels = pixels(3, 28, 28), pixels(3, 28, 28), np.array([2, 0, 1], dtype=np.uint8)
    contents = {
        "train-images-idx3": idx(train),
        "train-labels-idx1": idx(labels),
        "test-images-idx3": idx(test),
        "test-labels-idx1": idx(labels),
    }
    archive = zipped(
        {
            f"gzip/emnist-balanced-{name}-ubyte.gz": gzip.compress(content)
            for name, content in contents.items()
        }
    )

    class Small(datasets.EMNIST):
        url = site.url + "gzip.zip"
        md5 = site.put("gzip.zip", archive)

    arrays = (
        vision.emnist(Small).load(small("emnist", classes=3, train_images=3, test_images=3), tmp_path).arrays
    )
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
            split: [
                f"{site.url}{split}_32x32.mat",
                f"{split}_32x32.mat",
                site.put(f"{split}_32x32.mat", matrix(split)),
            ]
            for split in ("train", "test")
        }

    arrays = vision.svhn(Small).load(small("svhn", classes=3, train_images=4, test_images=3), tmp_path).arrays
    assert np.array_equal(arrays.train_images.numpy(), images["train"].transpose(3, 2, 0, 1))
    assert arrays.train_labels.tolist() == [0, 1, 2, 1]
    assert arrays.test_labels.tolist() == [2, 0, 1]


def test_stl10s_columns_become_rows(site: Site, tmp_path: Path) -> None:
    train, test = pixels(3, 3, 96, 96), pixels(2, 3, 96, 96)
    files = {
        "train_X.bin": train.tobytes(),
        "train_y.bin": bytes([1, 2, 1]),
        "test_X.bin": test.tobytes(),
        "test_y.bin": bytes([2, 1]),
        "unlabeled_X.bin": b"",
    }

    class Small(datasets.STL10):
        url = site.url + "stl10_binary.tar.gz"
        tgz_md5 = site.put(
            "stl10_binary.tar.gz",
            tarred({f"stl10_binary/{name}": content for name, content in files.items()}),
        )
        train_list = [[name, md5(files[name])] for name in ("train_X.bin", "train_y.bin", "unlabeled_X.bin")]
        test_list = [[name, md5(files[name])] for name in ("test_X.bin", "test_y.bin")]

    arrays = (
        vision.stl10(Small).load(small("stl10", classes=2, train_images=3, test_images=2), tmp_path).arrays
    )
    assert np.array_equal(arrays.train_images.numpy(), train.transpose(0, 1, 3, 2))
    assert (arrays.train_labels.tolist(), arrays.test_labels.tolist()) == ([0, 1, 0], [1, 0])


@pytest.mark.parametrize("name", vision.PUBLISHED)
def test_every_published_archive_has_an_address_and_a_checksum(name: str) -> None:
    for archive in vision.PUBLISHED[name].archives:
        assert archive.url.startswith(("https://", "http://"))
        assert len(bytes.fromhex(archive.checksum or "")) == {"md5": 16, "sha256": 32}[archive.algorithm]
