"""Small archives of the true formats, and a web site to serve them."""

import hashlib
import io
import struct
import tarfile
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from cil_core.spec.catalog import DATASETS, DatasetCard

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


def unpacked(root: Path, files: dict[str, bytes]) -> None:
    """Lay files out as unpacking an archive does."""
    for name, content in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(content)


def draw(path: Path, seed: int, size: tuple[int, int] = (16, 16), mode: str = "RGB") -> None:
    """Write a picture of random pixels."""
    shape = (*size[::-1], 3) if mode == "RGB" else size[::-1]
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8), mode).save(path)
