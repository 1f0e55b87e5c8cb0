"""Datasets as uint8 tensors: loading, augmentation on the device, and the stream of tasks."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from cil_core import folders
from cil_core.catalog import DATASETS, DatasetCard
from cil_core.data import digits, folder
from cil_core.data.source import Source
from cil_core.data.vision import PUBLISHED
from cil_core.errors import InvalidSpec
from cil_core.spec import Track

Loader = Callable[[DatasetCard, Path], Source]

LOADERS: dict[str, Loader] = {"digits": digits.load, **{name: published.load for name, published in PUBLISHED.items()}}
"""How each built-in dataset is read; the names are the catalogue's."""


def load(track: Track, data_root: Path) -> Source:
    """The dataset of a track; a published one is downloaded if this machine does not have it.

    Args:
        track: names it.
        data_root: where this machine keeps datasets and registrations.

    Raises:
        InvalidSpec: if there is no such dataset.
        DataError: if it is missing, damaged, or not the one the track names.
    """
    if track.dataset.startswith(folders.PREFIX):
        return folder.load(track.dataset.removeprefix(folders.PREFIX), data_root)
    if track.dataset not in LOADERS:
        raise InvalidSpec(f"unknown dataset {track.dataset!r}; known: {', '.join(sorted(LOADERS))}", ("track", "dataset"))
    return LOADERS[track.dataset](DATASETS[track.dataset], data_root)
