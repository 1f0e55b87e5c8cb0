"""Decoded datasets on disk: `.npy` files and a manifest of their SHA-256, read memory-mapped.

Decisions:
    * A directory appears complete or not at all: it is written beside its place and renamed.
    * Every reading compares every byte with the manifest, so a damaged file is named before any training.
    * Processes that prepare the same dataset wait for each other on a lock file; the second one finds the
      work done.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import torch
from filelock import FileLock

from cil_core.data.source import Arrays, Source
from cil_core.spec.catalog import DatasetCard
from cil_core.spec.data_root import MANIFEST
from cil_core.spec.errors import DataError, DataUnavailable


def write(directory: Path, arrays: Arrays) -> None:
    """Replace the directory with these arrays.

    Raises:
        DataUnavailable: the disk is full or read-only.
    """
    with unfinished(directory):
        commit(directory, arrays)


@contextmanager
def unfinished(directory: Path) -> Iterator[Path]:
    """An empty directory beside `directory`, for files that are too large to be held in memory first.

    It is renamed when it is complete (`commit`), and removed otherwise.

    Raises:
        DataUnavailable: the disk is full or read-only.
    """
    place = _unfinished(directory)
    try:
        shutil.rmtree(place, ignore_errors=True)
        place.mkdir(parents=True)
    except OSError as error:
        raise DataUnavailable(f"cannot write {directory}: {error.strerror or error}") from error
    try:
        yield place
    finally:
        shutil.rmtree(place, ignore_errors=True)


def commit(directory: Path, arrays: Arrays) -> None:
    """Finish what is `unfinished`: write the remaining arrays and the manifest, and rename the directory.

    Raises:
        DataUnavailable: the disk is full or read-only.
    """
    place = _unfinished(directory)
    try:
        for name, array in arrays.arrays_by_name().items():
            if not (place / f"{name}.npy").exists():
                np.save(place / f"{name}.npy", array.numpy())
        (place / MANIFEST).write_text(json.dumps({"sha256": arrays.digests}, indent=1))
        shutil.rmtree(directory, ignore_errors=True)
        place.rename(directory)
    except OSError as error:
        raise DataUnavailable(f"cannot write {directory}: {error.strerror or error}") from error


def read(directory: Path, card: DatasetCard) -> Source:
    """The dataset in a directory.

    Raises:
        DataError: names the file that is missing or damaged.
    """
    expected = _manifest(directory / MANIFEST)
    if card.whole and "train_shapes" not in expected:
        raise DataError(
            f"{directory} holds square images of an earlier version, not whole photographs; delete it to "
            "prepare the dataset again"
        )
    arrays = Arrays(**{name: torch.from_numpy(_mapped(directory / f"{name}.npy")) for name in expected})
    for name, digest in arrays.digests.items():
        if digest != expected[name]:
            raise DataError(
                f"{directory / name}.npy is damaged: its SHA-256 is {digest}, not {expected[name]}; "
                f"delete {directory} to prepare it again"
            )
    try:
        return Source(card, arrays)
    except DataError as error:
        raise DataError(f"{directory}: {error}; delete it to prepare it again") from error


def lock(directory: Path) -> FileLock:
    """The lock for preparing `directory`, for a `with` statement; other processes wait."""
    directory.parent.mkdir(parents=True, exist_ok=True)
    return FileLock(directory.parent / f".{directory.name}.lock")


def _unfinished(directory: Path) -> Path:
    return directory.with_name(directory.name + ".unfinished")


def _manifest(path: Path) -> dict[str, str]:
    try:
        digests = json.loads(path.read_text())["sha256"]
        shapes = [name for name in ("train_shapes", "test_shapes") if name in digests]
        return {
            name: digests[name]
            for name in ("train_images", "train_labels", "test_images", "test_labels", *shapes)
        }
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DataError(f"{path} is missing or damaged: {error}") from error


def _mapped(path: Path) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8 | np.int64]]:
    try:
        return np.load(path, mmap_mode="c", allow_pickle=False)  # type: ignore[no-any-return]  # private pages: the file is never written
    except (OSError, ValueError, EOFError) as error:
        raise DataError(f"{path} is missing or damaged: {error}") from error
